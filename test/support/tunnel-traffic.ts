/** Streams of numbered UDP packets through a tunnel, and what became of them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Route } from '../../src/lab/iperf.ts';
import { failure, type Running } from '../../src/lab/process.ts';
import type { DatagramSpec, ReceivedFigures, SentFigures } from './tunnel-datagrams.ts';
import { programPath } from './tunnel-programs.ts';

const READY_MS = 5_000;
/** After the last packet was sent: so long may the last ones be on their way. */
const DRAIN_MS = 300;
/** Streams end by themselves or are stopped; this only ends what a failed test forgot. */
const LIFE_MS = 20 * 60_000;
let portsUsed = 0;

export interface Load {
  /** Packets of each flow; without it until `finish`. */
  readonly packets?: number;
  readonly packetsPerSecond: number;
  /** Default 1. */
  readonly flows?: number;
  /** UDP payload, bytes: [least, most]. */
  readonly lengths: readonly [number, number];
  /** One packet of every `sweepStep`th length instead, known by its length alone. */
  readonly sweepStep?: number;
}

export interface Outcome {
  readonly sent: number;
  readonly refused: number;
  readonly received: number;
  /** Sent, and neither arrived nor refused by the sender's kernel, nor dropped at the receiver's own socket. */
  readonly lost: number;
  readonly repeated: number;
  readonly corrupted: number;
  readonly reordered: number;
  readonly holes: ReceivedFigures['holes'];
  readonly silenceMsMax: number;
  readonly overflowed: number;
}

/** A stream that runs. */
export class Stream {
  readonly #receiver: Running;
  readonly #sender: Running;

  /** Starts the receiver, then the sender. */
  static async start(route: Route, load: Load): Promise<Stream> {
    portsUsed += 1;
    const { packets, packetsPerSecond, flows = 1, lengths, sweepStep } = load;
    const spec: DatagramSpec = {
      role: 'receive',
      address: route.address,
      port: 20_000 + (portsUsed % 20_000),
      seed: `stream ${portsUsed}`,
      flows,
      packets: packets ?? null,
      packetsPerSecond,
      lengthLeast: lengths[0],
      lengthMost: lengths[1],
      ...(sweepStep === undefined ? {} : { sweepStep }),
    };
    const receiver = startProgram(route.to, spec);
    await receiver.waitForOutput(/ready/, READY_MS);
    return new Stream(receiver, startProgram(route.from, { ...spec, role: 'send' }));
  }

  private constructor(receiver: Running, sender: Running) {
    this.#receiver = receiver;
    this.#sender = sender;
  }

  /** Packets that had arrived at the receiver's last word, at most a fifth of a second ago. */
  get received(): number {
    return Number(/.*received (\d+)/s.exec(this.#receiver.output)?.[1] ?? 0);
  }

  /** Resolves when more packets arrive than had by now; throws after `timeoutMs`. */
  async arrivals(more: number, timeoutMs: number): Promise<void> {
    const before = this.received;
    await this.#receiver.waitUntil(() => this.received >= before + more, timeoutMs, `receive ${more} more packets`);
  }

  /** Waits until all is sent (with `stop`: stops sending now), lets the last ones arrive, and compares. */
  async finish(stop = false): Promise<Outcome> {
    if (stop) this.#sender.signal('SIGTERM');
    const sender = await figuresOf<SentFigures>(this.#sender);
    await delay(DRAIN_MS);
    this.#receiver.signal('SIGTERM');
    return outcomeOf(sender, await figuresOf<ReceivedFigures>(this.#receiver));
  }
}

/** Sends a load to its end and says what became of it. */
export async function sendDatagrams(route: Route, load: Load): Promise<Outcome> {
  const stream = await Stream.start(route, load);
  return await stream.finish();
}

function startProgram(namespace: Route['from'], spec: DatagramSpec): Running {
  const command = [process.execPath, programPath('tunnel-datagrams'), JSON.stringify(spec)];
  return namespace.start(command, { timeoutMs: LIFE_MS });
}

async function figuresOf<Figures>(program: Running): Promise<Figures> {
  const finished = await program.finished;
  if (finished.code !== 0) throw failure(finished);
  return JSON.parse(finished.stdout) as Figures;
}

function outcomeOf(sender: SentFigures, receiver: ReceivedFigures): Outcome {
  const { unique, packets, ...rest } = receiver;
  const sent = sum(sender.sent);
  const { refused } = sender;
  const lost = sent - refused - sum(unique) - receiver.overflowed;
  return { sent, refused, received: packets, lost, ...rest };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
