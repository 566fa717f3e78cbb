/** What the emulator did, as a table for people. */
import type { EmulatorFigures } from './emulator.ts';
import type { DirectionFigures } from './link-direction.ts';

const ROWS: readonly (readonly [label: string, value: (figures: DirectionFigures) => number])[] = [
  ['passed', ({ passed }) => passed],
  ['lost by chance', ({ lostRandom }) => lostRandom],
  ['lost in bursts', ({ lostBurst }) => lostBurst],
  ['lost by a full queue', ({ lostQueue }) => lostQueue],
  ['lost while cut', ({ lostBlackout }) => lostBlackout],
  ['of those that passed: twice', ({ duplicated }) => duplicated],
  ['of those that passed: late', ({ reordered }) => reordered],
];

/** Several lines, the last with its line break. */
export function formatEmulatorFigures({ toTarget, toClient, ...ours }: EmulatorFigures): string {
  const head = row('datagrams', 'to target', 'to client');
  const rows = ROWS.map(([label, value]) => row(label, count(value(toTarget)), count(value(toClient))));
  const bytes = row('bytes passed', count(toTarget.passedBytes), count(toClient.passedBytes));
  const rest = [
    [ours.overflowed, 'found no room: the link holds more than the emulator can'],
    [ours.unaddressed, 'came from the target before any client had sent'],
    [ours.refused, 'groups were refused by the kernel'],
  ] as const;
  const notes = rest.filter(([value]) => value > 0).map(([value, text]) => `${count(value)} ${text}\n`);
  return [head, ...rows, bytes, ...notes].join('');
}

function row(label: string, toTarget: string, toClient: string): string {
  return `${label.padEnd(28)}${toTarget.padStart(16)}${toClient.padStart(16)}\n`;
}

function count(value: number): string {
  return value.toLocaleString('en-US');
}
