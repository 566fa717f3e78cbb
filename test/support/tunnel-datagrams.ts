/**
 * A program: one end of a stream of UDP packets that are all told apart. A packet's number and flow stand in front of a
 * piece of the seed's keystream that both give; its length follows from its number. So the receiver can tell lost,
 * repeated, reordered and wrong ones. Sizes below eight bytes have no room for a number: in a sweep the length is it.
 *
 *     node tunnel-datagrams.js '{"role":"receive",…}'   until SIGTERM; says `ready`, then five times a second what came
 *     node tunnel-datagrams.js '{"role":"send",…}'      until all are sent, or SIGTERM
 *
 * Each prints its figures as one line of JSON at its end.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Both ends are given the same, but for the role. */
export interface DatagramSpec {
  readonly role: 'send' | 'receive';
  /** The receiver's. */
  readonly address: string;
  readonly port: number;
  readonly seed: string;
  /** Sources of packets; each has a port of its own. */
  readonly flows: number;
  /** Packets of each flow; Infinity is written as null. In a sweep: ignored. */
  readonly packets: number | null;
  /** Of all flows together. */
  readonly packetsPerSecond: number;
  /** UDP payload, bytes. Numbered packets take all lengths from least to most, in a scattered order. */
  readonly lengthLeast: number;
  readonly lengthMost: number;
  /** Set: one packet of each `sweepStep`th length from least to most, in that order, known by their lengths. */
  readonly sweepStep?: number;
}

export interface SentFigures {
  /** Packets of each flow, refused ones included. */
  readonly sent: readonly number[];
  /** Packets that the sender's kernel refused. */
  readonly refused: number;
  readonly seconds: number;
}

export interface ReceivedFigures {
  /** Packets that arrived, whatever they were. */
  readonly packets: number;
  /** Distinct good ones, of each flow. */
  readonly unique: readonly number[];
  readonly repeated: number;
  /** Wrong in content, length, or number. */
  readonly corrupted: number;
  /** Behind a later one of their flow. */
  readonly reordered: number;
  /** The first gaps: flow, first missing number, how many. What is missing at the end shows only against the sender. */
  readonly holes: readonly (readonly [number, number, number])[];
  /** Longest time between two arrivals. */
  readonly silenceMsMax: number;
  /** What the receiving socket itself had no room for. */
  readonly overflowed: number;
}

const HEADER_LENGTH = 8;
const SOCKET_BUFFER_LENGTH = 4 * 1024 * 1024;
/** Prime, so that the pieces of many packets all differ. */
const STREAM_LENGTH = 65_521;
const LENGTH_MAX = 65_507;
const BURST_MS = 2;
const NOTE_MS = 200;
const HOLES_SHOWN = 20;

const spec = JSON.parse(process.argv[2] ?? '') as DatagramSpec;
const stream = createCipheriv('aes-256-ctr', createHash('sha256').update(spec.seed).digest(), Buffer.alloc(16)).update(
  Buffer.alloc(STREAM_LENGTH + LENGTH_MAX),
);
if (spec.role === 'send') await send();
else receive();

function openSocket(): Socket {
  return createSocket({
    type: spec.address.includes(':') ? 'udp6' : 'udp4',
    recvBufferSize: SOCKET_BUFFER_LENGTH,
    sendBufferSize: SOCKET_BUFFER_LENGTH,
  });
}

/** The packet of a flow with a number; in a sweep the number is the length. */
function makePacket(flow: number, index: number): Buffer {
  const length = spec.sweepStep === undefined ? lengthOf(flow, index) : index;
  const start = (index * 7_919 + flow * 104_729) % STREAM_LENGTH;
  const packet = Buffer.from(stream.subarray(start, start + length));
  if (spec.sweepStep !== undefined) return packet;
  packet.writeUInt32BE(index, 0);
  packet.writeUInt32BE(flow, 4);
  return packet;
}

/** Scatters lengths: the multiplier is odd and near 2^32 divided by the golden ratio. */
function lengthOf(flow: number, index: number): number {
  const { lengthLeast, lengthMost } = spec;
  return lengthLeast + ((Math.imul(index + flow, 2_654_435_761) >>> 0) % (lengthMost - lengthLeast + 1));
}

async function send(): Promise<void> {
  const sockets = await Promise.all(Array.from({ length: spec.flows }, connectedSocket));
  const total = spec.sweepStep === undefined ? spec.flows * (spec.packets ?? Number.POSITIVE_INFINITY) : sweepLength();
  const sent = sockets.map(() => 0);
  let refused = 0;
  let stopped = false;
  process.once('SIGTERM', () => {
    stopped = true;
  });
  const startedMs = performance.now();
  for (let count = 0; count < total && !stopped; ) {
    const due = Math.ceil(((performance.now() - startedMs) / 1_000) * spec.packetsPerSecond) + 1;
    const burst: Promise<void>[] = [];
    for (; count < Math.min(total, due); count += 1) {
      const flow = count % spec.flows;
      const index = spec.sweepStep === undefined ? (sent[flow] ?? 0) : spec.lengthLeast + count * spec.sweepStep;
      sent[flow] = (sent[flow] ?? 0) + 1;
      burst.push(
        sendOne(sockets[flow], makePacket(flow, index)).catch(() => {
          refused += 1;
        }),
      );
    }
    await Promise.all([...burst, delay(BURST_MS)]);
  }
  for (const socket of sockets) socket.close();
  print({ sent, refused, seconds: (performance.now() - startedMs) / 1_000 } satisfies SentFigures);
}

function sweepLength(): number {
  return Math.floor((spec.lengthMost - spec.lengthLeast) / (spec.sweepStep ?? 1)) + 1;
}

function connectedSocket(): Promise<Socket> {
  const socket = openSocket();
  socket.on('error', () => {}); // an ICMP error of an earlier packet
  return new Promise((resolve) => socket.connect(spec.port, spec.address, () => resolve(socket)));
}

function sendOne(socket: Socket | undefined, packet: Buffer): Promise<void> {
  return new Promise((resolve, reject) =>
    socket?.send(packet, (error) => (error === null ? resolve() : reject(error))),
  );
}

/** What is known of one flow's arrivals. */
interface Flow {
  seen: Uint8Array;
  /** Highest number so far, -1 before the first. */
  highest: number;
  unique: number;
}

function receive(): void {
  const flows = Array.from(
    { length: spec.flows },
    (): Flow => ({ seen: new Uint8Array(65_536), highest: -1, unique: 0 }),
  );
  const got = { packets: 0, repeated: 0, corrupted: 0, reordered: 0, silenceMsMax: 0 };
  let lastMs = 0;
  const socket = openSocket();
  socket.on('message', (packet: Buffer, _source: RemoteInfo) => {
    const nowMs = performance.now();
    if (got.packets > 0) got.silenceMsMax = Math.max(got.silenceMsMax, nowMs - lastMs);
    lastMs = nowMs;
    got.packets += 1;
    take(flows, got, packet);
  });
  const note = setInterval(() => process.stderr.write(`received ${got.packets}\n`), NOTE_MS);
  process.once('SIGTERM', () => {
    clearInterval(note);
    const overflowed = overflowOf(spec.port);
    socket.close();
    const figures = { ...got, unique: flows.map(({ unique }) => unique), holes: holesOf(flows), overflowed };
    print(figures satisfies ReceivedFigures);
  });
  socket.once('listening', () => process.stderr.write('ready\n')).bind(spec.port, spec.address);
}

function take(flows: Flow[], got: { repeated: number; corrupted: number; reordered: number }, packet: Buffer): void {
  const sweeps = spec.sweepStep !== undefined;
  const known = sweeps || packet.length >= HEADER_LENGTH;
  const index = sweeps ? packet.length : known ? packet.readUInt32BE(0) : -1;
  const flow = sweeps || !known ? 0 : packet.readUInt32BE(4);
  const state = flows[flow];
  if (!known || state === undefined || !packet.equals(makePacket(flow, index))) {
    got.corrupted += 1;
    return;
  }
  if (index >= state.seen.length) state.seen = grown(state.seen, index + 1);
  if (state.seen[index] === 1) got.repeated += 1;
  else {
    state.seen[index] = 1;
    state.unique += 1;
    if (index < state.highest) got.reordered += 1;
    state.highest = Math.max(state.highest, index);
  }
}

function grown(seen: Uint8Array, least: number): Uint8Array {
  const larger = new Uint8Array(Math.max(least, seen.length * 2));
  larger.set(seen);
  return larger;
}

function holesOf(flows: readonly Flow[]): [number, number, number][] {
  const holes: [number, number, number][] = [];
  const [least, step] = spec.sweepStep === undefined ? [0, 1] : [spec.lengthLeast, spec.sweepStep];
  flows.forEach(({ seen, highest }, flow) => {
    let missing = 0;
    for (let index = least; index <= highest && holes.length < HOLES_SHOWN; index += step) {
      if (seen[index] === 0) missing += 1;
      else if (missing > 0) {
        holes.push([flow, index - missing * step, missing]);
        missing = 0;
      }
    }
  });
  return holes;
}

/** The last column of /proc/net/udp: what the kernel dropped because this socket's buffer was full. */
function overflowOf(port: number): number {
  const name = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const table = readFileSync(spec.address.includes(':') ? '/proc/net/udp6' : '/proc/net/udp', 'utf8');
  const lines = table.split('\n').map((line) => line.trim().split(/\s+/));
  return lines.filter((fields) => fields[1]?.endsWith(name)).reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

function print(figures: object): void {
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
