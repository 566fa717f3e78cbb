/** The slots' transitions as a table: before, what happens, after, what falls out. Letters are keypairs, '-' is empty. */
import { describe, expect, it } from 'vitest';
import { type Keypair, KeypairSlots } from '../../src/protocol/keypair.ts';

type Step = 'initiator N' | 'responder N' | `confirm ${string}` | 'clear';

/** Slots are written previous, current, next. A next keypair empties previous, so that the two are never there at once. */
const TABLE: readonly [number, string, Step, string, string][] = [
  [1, '---', 'initiator N', '-N-', ''],
  [2, '-A-', 'initiator N', 'AN-', ''],
  [3, 'BA-', 'initiator N', 'AN-', 'B'],
  [4, '--C', 'initiator N', 'CN-', ''],
  [5, '-AC', 'initiator N', 'CN-', 'A'],
  [6, '---', 'responder N', '--N', ''],
  [7, '-A-', 'responder N', '-AN', ''],
  [8, 'BA-', 'responder N', '-AN', 'B'],
  [9, '--C', 'responder N', '--N', 'C'],
  [10, '-AC', 'responder N', '-AN', 'C'],
  [11, '--C', 'confirm C', '-C-', ''],
  [12, '-AC', 'confirm C', 'AC-', ''],
  [13, '-AC', 'confirm A', '-AC', 'refused'],
  [14, 'BA-', 'confirm B', 'BA-', 'refused'],
  [15, '---', 'confirm C', '---', 'refused'],
  [16, 'BA-', 'clear', '---', 'AB'],
  [17, '-AC', 'clear', '---', 'AC'],
  [18, '---', 'clear', '---', ''],
];

describe('The keypair slots', () => {
  for (const [number, before, step, after, fallen] of TABLE) {
    it(`go from ${before} by ${step} to ${after} (line ${number})`, () => {
      const slots = slotsOf(before);
      expect(apply(slots, step)).toBe(fallen);
      expect(show(slots)).toBe(after);
    });
  }
});

function slotsOf(content: string): KeypairSlots {
  const [previous, current, next] = content;
  const slots = new KeypairSlots();
  for (const letter of [previous, current]) if (letter !== '-') slots.installCurrent(keypair(letter));
  if (next !== '-') slots.installNext(keypair(next));
  return slots;
}

function apply(slots: KeypairSlots, step: Step): string {
  const [verb, letter] = step.split(' ');
  if (verb === 'initiator') return letters(slots.installCurrent(keypair(letter)));
  if (verb === 'responder') return letters(slots.installNext(keypair(letter)));
  if (verb === 'clear') return letters(slots.clear());
  const fallen = slots.confirm(idOf(letter));
  return fallen === null ? 'refused' : letters(fallen);
}

function show(slots: KeypairSlots): string {
  return [slots.previous, slots.current, slots.next].map((one) => (one === null ? '-' : letters([one]))).join('');
}

function letters(keypairs: readonly Keypair[]): string {
  return keypairs
    .map(({ id }) => String.fromCharCode(id))
    .sort()
    .join('');
}

function keypair(letter: string): Keypair {
  return { id: idOf(letter), cipher: 'chacha20-poly1305', localIndex: idOf(letter), initiator: true, bornMs: 0 };
}

function idOf(letter: string): number {
  return letter.charCodeAt(0);
}
