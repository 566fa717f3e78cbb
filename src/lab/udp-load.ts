/**
 * UDP loads of our own between two namespaces, lighter than iperf3's: a QUIC-like one that sends groups by UDP_SEGMENT, and a ramp
 * of offered rates. Both ends are processes of this program (load/end.ts).
 */
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../errors.ts';
import type { Route } from './iperf.ts';
import type { StepSent, WindowedSent } from './load/send.ts';
import type { StepReceived } from './load/tally.ts';
import type { Running } from './process.ts';

/** The built program; Node.js does not run TypeScript. */
const PROGRAM = fileURLToPath(new URL('../../dist/lab/load/end.js', import.meta.url));
const PORT = 7_079;
const READY_MS = 5_000;
const SLACK_SECONDS = 10;

export interface WindowedResult {
  readonly gigabitsPerSecond: number;
  readonly sentDatagrams: number;
  readonly deliveredDatagrams: number;
  readonly lostDatagrams: number;
  /** Delivered behind a datagram that was sent after them. */
  readonly lateDatagrams: number;
  /** Datagrams per UDP_SEGMENT message, on average. */
  readonly datagramsPerGroup: number;
  readonly windowCuts: number;
}

export interface RampStep {
  /** Packets per second: asked for (0: as many as possible), really sent, delivered. */
  readonly rate: number;
  readonly offeredPerSecond: number;
  readonly deliveredPerSecond: number;
}

/** Sends datagrams of `length` bytes in groups for `seconds`. Throws GigatunError SYSTEM when it fails or nothing arrives. */
export async function runWindowed(route: Route, seconds: number, length: number): Promise<WindowedResult> {
  const args = ['windowed', route.address, String(PORT), String(seconds), String(length)];
  const [received, sent] = await runBoth(route, args, seconds);
  const total = (received as StepReceived[])[0];
  const { datagrams, groups, cuts } = sent as WindowedSent;
  if (total === undefined || total.seconds === 0) throw nothingCame(route);
  return {
    gigabitsPerSecond: (total.bytes * 8) / total.seconds / 1e9,
    sentDatagrams: datagrams,
    deliveredDatagrams: total.datagrams,
    lostDatagrams: datagrams - total.datagrams,
    lateDatagrams: total.late,
    datagramsPerGroup: datagrams / groups,
    windowCuts: cuts,
  };
}

/** Offers each of `rates` (packets per second, 0: unlimited) for `secondsPerStep`. Throws as `runWindowed` does. */
export async function runRamp(
  route: Route,
  secondsPerStep: number,
  length: number,
  rates: readonly number[],
): Promise<RampStep[]> {
  const args = ['steps', route.address, String(PORT), String(secondsPerStep), String(length), rates.join(',')];
  const [received, sent] = await runBoth(route, args, (secondsPerStep + 1) * rates.length);
  return rampOf(sent as StepSent[], received as StepReceived[]);
}

/** Joins what was sent and what came; delivered is by the receiver's clock, since the last of a step may come after its end. */
export function rampOf(sent: readonly StepSent[], received: readonly StepReceived[]): RampStep[] {
  return sent.map(({ rate, datagrams, seconds }, index) => {
    const came = received.find(({ step }) => step === index);
    const over = Math.max(seconds, came?.seconds ?? 0);
    return { rate, offeredPerSecond: datagrams / seconds, deliveredPerSecond: (came?.datagrams ?? 0) / over };
  });
}

function nothingCame(route: Route): GigatunError {
  return new GigatunError('SYSTEM', `of a UDP load to ${route.address} nothing arrived`);
}

/** What the receiver and the sender printed. */
async function runBoth(route: Route, args: readonly string[], seconds: number): Promise<[unknown, unknown]> {
  const secondsMax = Math.ceil(seconds) + SLACK_SECONDS;
  const timeoutMs = secondsMax * 1_000;
  const receive = ['receive', route.address, String(PORT), String(secondsMax)];
  const receiver = route.to.start([process.execPath, PROGRAM, ...receive], { timeoutMs: timeoutMs + READY_MS });
  try {
    await receiver.waitForOutput(/ready/, READY_MS);
    const sent = await figuresOf(route.from.start([process.execPath, PROGRAM, ...args], { timeoutMs }));
    return [await figuresOf(receiver), sent];
  } finally {
    await receiver.stop();
  }
}

async function figuresOf(program: Running): Promise<unknown> {
  const finished = await program.finished;
  if (finished.code === 0) return JSON.parse(finished.stdout);
  const why = finished.timedOut ? 'did not end in time' : `failed: ${finished.stderr.trim().slice(-400)}`;
  throw new GigatunError('SYSTEM', `the UDP load (${finished.command}) ${why}`);
}
