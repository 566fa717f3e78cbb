/** The loads of a scenario, through a scene's tunnel from end a to end b: each bounded, each with figures. */
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../../errors.ts';
import { runTcp } from '../iperf.ts';
import { innerRoute, type Pair } from '../pair.ts';
import { waitForEcho } from '../ping.ts';
import type { StreamFigures } from './numbered.ts';
import type { Scene } from './scene.ts';

const PROGRAM = fileURLToPath(new URL('../../../dist/lab/scenarios/stream-program.js', import.meta.url));
const PORT = 5_300;
const READY_MS = 10_000;
const SLACK_SECONDS = 8;
const WARM_UP_MS = 20_000;

export interface TcpFigures {
  readonly megabitsPerSecond: number;
  readonly retransmits: number;
}

export interface SteadyFigures {
  readonly bytes: number;
  /** Longest time without data at the receiver, ms. */
  readonly longestGapMs: number;
}

export interface StreamLoad {
  readonly seconds: number;
  readonly megabits: number;
  /** UDP payload, bytes. */
  readonly length: number;
}

/** What is to happen to a link while a load runs. */
export interface Cut {
  readonly link: number;
  readonly afterSeconds: number;
  readonly seconds: number;
}

/** Bulk TCP, cubic; the first `omitSeconds` are not counted. */
export async function bulk(scene: Scene, seconds: number, streams: number, omitSeconds = 0): Promise<TcpFigures> {
  const load = { seconds, streams, omitSeconds, congestion: 'cubic' };
  const { gigabitsPerSecond, retransmits } = await runTcp(innerRoute(scene.pair, 4), load);
  return { megabitsPerSecond: gigabitsPerSecond * 1_000, retransmits };
}

/** A numbered UDP stream. */
export async function stream(scene: Scene, load: StreamLoad, cut: Cut | null = null): Promise<StreamFigures> {
  const { seconds, length, megabits } = load;
  return (await through(scene, ['receive', 'send'], seconds, [`${length}`, `${megabits}`], cut)) as StreamFigures;
}

/** A TCP stream at a steady rate, whose stalls are watched. */
export async function steady(scene: Scene, seconds: number, megabits: number, cut: Cut | null): Promise<SteadyFigures> {
  return (await through(scene, ['accept', 'connect'], seconds, [`${megabits}`], cut)) as SteadyFigures;
}

/** Waits until the tunnel carries something; throws with both logs when it does not. */
export async function warmUp({ pair, a, b }: Scene): Promise<void> {
  try {
    await waitForEcho(innerRoute(pair, 4), WARM_UP_MS);
  } catch (cause) {
    throw new GigatunError('SYSTEM', `the tunnel carries nothing:\n${a.log()}\n${b.log()}`, { cause });
  }
}

async function through(
  scene: Scene,
  [far, near]: readonly [string, string],
  seconds: number,
  rest: readonly string[],
  cut: Cut | null,
): Promise<unknown> {
  const { a, b }: Pair = scene.pair;
  const args = [b.inner4, `${PORT}`];
  const timeoutMs = (seconds + 2 * SLACK_SECONDS) * 1_000;
  const receiver = b.namespace.start([process.execPath, PROGRAM, far, ...args, `${seconds + SLACK_SECONDS}`], {
    timeoutMs,
  });
  await receiver.waitForOutput(/ready/, READY_MS);
  const timers = cut === null ? [] : schedule(scene, cut);
  try {
    await a.namespace.run([process.execPath, PROGRAM, near, ...args, `${seconds}`, ...rest], { timeoutMs });
    const { stdout, stderr } = await receiver.finished;
    if (stdout === '') throw new GigatunError('SYSTEM', `the receiver gave no figures: ${stderr}`);
    return JSON.parse(stdout) as unknown;
  } finally {
    for (const timer of timers) clearTimeout(timer);
    if (cut !== null) scene.cut(cut.link, false);
    await receiver.stop();
  }
}

function schedule(scene: Scene, { link, afterSeconds, seconds }: Cut): NodeJS.Timeout[] {
  return [
    setTimeout(() => scene.cut(link, true), afterSeconds * 1_000),
    setTimeout(() => scene.cut(link, false), (afterSeconds + seconds) * 1_000),
  ];
}
