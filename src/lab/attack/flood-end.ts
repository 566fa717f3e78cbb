/**
 * A program: floods a port with one kind of datagram at a rate, for some seconds or until it is asked to stop, and ends. Says
 * `flooding` when it begins, and prints how many the kernel took and for how long, as one line of JSON.
 *
 *     node flood-end.js JOB.json
 */
import { existsSync, readFileSync } from 'node:fs';
import { GigatunError } from '../../errors.ts';
import { FLOOD_SECONDS_MAX, floodKind } from './flood-kinds.ts';
import { BATCH, FloodSocket } from './flood-socket.ts';

export interface FloodJob {
  readonly kind: string;
  /** Numeric IPv4 address and port. */
  readonly address: string;
  readonly port: number;
  /** Datagrams a second; 0: as many as go. */
  readonly rate: number;
  /** At most FLOOD_SECONDS_MAX. */
  readonly seconds: number;
  /** It stops when there is a file of this name. */
  readonly stopFile: string;
  /** Base64, see FloodFacts. */
  readonly publicKey: string;
  readonly recordedKey: string;
}

export interface FloodReport {
  readonly sent: number;
  readonly seconds: number;
}

const PAUSE_MS = 1;
/** How often it looks for the file. */
const LOOK_MS = 100;
/** Behind its schedule by more than this, it forgets the rest: a flood on a full machine must not become a burst. */
const LAG_MS_MAX = 100;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

const [file = ''] = process.argv.slice(2);
process.stdout.write(`${JSON.stringify(flood(JSON.parse(readFileSync(file, 'utf8')) as FloodJob))}\n`);

function flood(job: FloodJob): FloodReport {
  const kind = floodKind(job.kind);
  if (kind === undefined || !(job.seconds > 0 && job.seconds <= FLOOD_SECONDS_MAX))
    throw new GigatunError('CONFIG', `expected a kind of flood and 1 to ${FLOOD_SECONDS_MAX} seconds`);
  const pool = kind.pool({ publicKey: bytesOf(job.publicKey), recordedKey: bytesOf(job.recordedKey) });
  const address = Uint8Array.from(job.address.split('.').map(Number));
  const socket = new FloodSocket(pool, address, job.port, kind.sources);
  try {
    return send(socket, job);
  } finally {
    socket.close();
  }
}

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, 'base64'));
}

function send(socket: FloodSocket, { rate, seconds, stopFile }: FloodJob): FloodReport {
  process.stdout.write('flooding\n');
  const startedMs = performance.now();
  let sent = 0;
  let offered = 0;
  let lookedMs = 0;
  for (let elapsedMs = 0; elapsedMs < seconds * 1_000; elapsedMs = performance.now() - startedMs) {
    if (elapsedMs - lookedMs > LOOK_MS) {
      lookedMs = elapsedMs;
      if (existsSync(stopFile)) break;
    }
    const due = rate === 0 ? BATCH : Math.floor((elapsedMs * rate) / 1_000) - offered;
    const count = Math.min(BATCH, due);
    if (count > 0) sent += socket.send(count);
    offered += due > (LAG_MS_MAX * rate) / 1_000 && rate > 0 ? due : Math.max(0, count);
    if (rate !== 0 && due < BATCH) Atomics.wait(sleeper, 0, 0, PAUSE_MS);
  }
  return { sent, seconds: (performance.now() - startedMs) / 1_000 };
}
