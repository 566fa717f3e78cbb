/** Payload integrity: a seeded stream is sent from one namespace to another, and every byte that arrives is compared. */
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../errors.ts';
import type { Route } from './iperf.ts';
import type { Running } from './process.ts';

/** The built program; Node.js does not run TypeScript. */
const PROGRAM = fileURLToPath(new URL('../../dist/lab/transfer-end.js', import.meta.url));
const PORT = 7_077;
const READY_MS = 5_000;

export interface TransferResult {
  /** Bytes that arrived. */
  readonly bytes: number;
  /** Bytes that arrived with a wrong value. */
  readonly corruptedBytes: number;
  readonly sentSha256: string;
  readonly receivedSha256: string;
  /** All bytes arrived, none wrong, both hashes equal. */
  readonly intact: boolean;
  readonly seconds: number;
}

/** Sends `bytes` of the seed's stream over TCP. Throws GigatunError SYSTEM when it does not end within `timeoutMs`. */
export async function transfer(route: Route, bytes: number, seed: string, timeoutMs = 60_000): Promise<TransferResult> {
  const [received, sent] = await runBoth(route, [route.address, String(PORT), seed, String(bytes)], timeoutMs);
  return {
    bytes: Number(received.bytes),
    corruptedBytes: Number(received.corrupted),
    sentSha256: String(sent.sha256),
    receivedSha256: String(received.sha256),
    intact: received.complete === true && received.corrupted === 0 && received.sha256 === sent.sha256,
    seconds: Number(sent.seconds),
  };
}

type Figures = Readonly<Record<string, unknown>>;

/** Figures of the receiver and of the sender. */
async function runBoth(route: Route, common: readonly string[], timeoutMs: number): Promise<[Figures, Figures]> {
  const receiver = route.to.start([process.execPath, PROGRAM, 'receive', ...common], { timeoutMs });
  try {
    await receiver.waitForOutput(/ready/, READY_MS);
    const sender = route.from.start([process.execPath, PROGRAM, 'send', ...common], { timeoutMs });
    const sent = await figuresOf(sender);
    return [await figuresOf(receiver), sent];
  } finally {
    await receiver.stop();
  }
}

async function figuresOf(program: Running): Promise<Figures> {
  const finished = await program.finished;
  if (finished.code === 0) return JSON.parse(finished.stdout) as Figures;
  const why = finished.timedOut ? 'did not end in time' : `failed: ${finished.stderr.trim().slice(-400)}`;
  throw new GigatunError('SYSTEM', `the transfer (${finished.command}) ${why}`);
}
