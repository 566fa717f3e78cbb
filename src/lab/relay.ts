/**
 * A program, not a library: a middle of a path that forwards datagrams between two addresses, as a router or a virtual
 * switch would, and breaks what it is told to break. It receives datagrams in groups (UDP GRO) and forwards them in groups,
 * so it sees the very groups that the sender made, where the links on both sides carry them whole.
 *
 *     node relay.js '{"port":6000,"a":"10.0.0.1:51820","b":"10.0.1.1:51820","seconds":60,"faults":{"dropGroupsAbove":16}}'
 *
 * What comes from `a` goes to `b`, what comes from elsewhere goes to `a`. Faults hold both ways. SIGUSR1 heals it, SIGUSR2
 * brings the faults back. It says `ready`, ends after its seconds or on SIGTERM, and prints what it did as one line of JSON.
 */
import { closeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { closeLane, openLane, openUdp, receiveUdp, sendUdp, wait } from '../native/addon.ts';
import { BOOKS, ENDPOINT, READY, UDP_RECEIVE, UDP_SEND } from '../native/layout.ts';
import { writeEndpoint } from '../packet/endpoint.ts';

/** What the middle does to what passes; absent: nothing. */
export interface RelayFaults {
  /** Share of datagrams that are lost, each for itself, 0 to 1. */
  readonly loss?: number;
  /** Groups of more datagrams than this are lost whole; 1: all groups. */
  readonly dropGroupsAbove?: number;
  /** The last datagram of a group is lost, or comes damaged, if it is shorter than the others. */
  readonly shortTails?: 'drop' | 'damage';
  /** Groups are cut again at wrong places: each datagram but the last that much shorter, bytes. */
  readonly missegmentBytes?: number;
  /** Each arrival is held back for so long, and up to so much longer, ms. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
}

export interface RelayPlan {
  readonly port: number;
  /** IPv4, `ADDRESS:PORT`. */
  readonly a: string;
  readonly b: string;
  /** It ends by itself after this. */
  readonly seconds: number;
  readonly faults: RelayFaults;
  /** Of its losses and delays; default 1. */
  readonly seed?: number;
}

/** What the relay says at its end. */
export interface RelayFigures {
  readonly groups: number;
  readonly datagrams: number;
  readonly droppedGroups: number;
  readonly droppedDatagrams: number;
  readonly damagedDatagrams: number;
  /** Sends that the kernel refused. */
  readonly refused: number;
}

const RECEIVES = 64;
const WAIT_MS = 20;
const BUFFER_LENGTH = 4 << 20;
/** Arrivals that are held back at once; more are forwarded at once. */
const HELD_MAX = 4_096;
const RECEIVE_AT = 0;
const SEND_AT = RECEIVES * UDP_RECEIVE.WORDS * 4;
const ENDPOINT_A_AT = SEND_AT + UDP_SEND.WORDS * 4;
const ENDPOINT_B_AT = ENDPOINT_A_AT + ENDPOINT.WORDS * 4;
const HELD_AT = ENDPOINT_B_AT + ENDPOINT.WORDS * 4;
/** Room for one arrival that was held back, at a multiple of 64. */
const BUFFER_AT = Math.ceil((HELD_AT + 65_536) / 64) * 64;

interface Held {
  readonly dueMs: number;
  readonly bytes: Uint8Array;
  readonly segmentLength: number;
  readonly to: number;
}

class Relay {
  readonly #plan: RelayPlan;
  readonly #arena: Uint8Array = new Uint8Array(new SharedArrayBuffer(BUFFER_AT + BUFFER_LENGTH));
  readonly #words: Int32Array = new Int32Array(this.#arena.buffer);
  readonly #fd: number;
  readonly #opened: ReturnType<typeof openLane>;
  readonly #figures = {
    groups: 0,
    datagrams: 0,
    droppedGroups: 0,
    droppedDatagrams: 0,
    damagedDatagrams: 0,
    refused: 0,
  };
  #held: Held[] = [];
  #isHealthy = false;
  #isEnded = false;
  #random: number;

  constructor(plan: RelayPlan) {
    this.#plan = plan;
    this.#random = plan.seed ?? 1;
    const { port } = plan;
    const options = {
      family: 4,
      port,
      reusePort: false,
      joinPort: false,
      fwmark: 0,
      gro: true,
      bufferLength: 7 << 20,
    } as const;
    this.#fd = openUdp(options).fd;
    const books = new Float64Array(BOOKS.CELLS);
    const fds = { tunFd: -1, udp4Fd: this.#fd, udp6Fd: -1 };
    this.#opened = openLane({ arena: this.#arena, books, ...fds, aead: 'openssl', bookTime: false });
    this.#writeEndpoint(ENDPOINT_A_AT, plan.a);
    this.#writeEndpoint(ENDPOINT_B_AT, plan.b);
  }

  heal(isHealthy: boolean): void {
    this.#isHealthy = isHealthy;
  }

  end(): void {
    this.#isEnded = true;
  }

  /** Forwards until its time is over; between two batches, signals are heard. */
  async run(): Promise<RelayFigures> {
    const endMs = performance.now() + this.#plan.seconds * 1_000;
    const { handle } = this.#opened;
    while (!this.#isEnded && performance.now() < endMs) {
      const ready = wait(handle, this.#held.length > 0 ? 1 : WAIT_MS, READY.UDP4, 0);
      if ((ready & READY.UDP4) !== 0) this.#forwardBatch();
      if (this.#held.length > 0) this.#release();
      await turn();
    }
    closeLane(handle);
    closeSync(this.#fd);
    return this.#figures;
  }

  #forwardBatch(): void {
    const { handle } = this.#opened;
    const count = receiveUdp(handle, 4, RECEIVE_AT, RECEIVES, BUFFER_AT, BUFFER_LENGTH, 0);
    for (let receive = 0; receive < count; receive += 1) this.#forward((RECEIVE_AT >> 2) + receive * UDP_RECEIVE.WORDS);
  }

  #forward(receive: number): void {
    const words = this.#words;
    const offset = words[receive + UDP_RECEIVE.OFFSET];
    const length = words[receive + UDP_RECEIVE.LENGTH];
    const segmentLength = words[receive + UDP_RECEIVE.SEGMENT_LENGTH];
    const datagrams = segmentLength === 0 ? 1 : Math.ceil(length / segmentLength);
    this.#figures.datagrams += datagrams;
    if (segmentLength > 0) this.#figures.groups += 1;
    const to = this.#isFromA(receive) ? ENDPOINT_B_AT : ENDPOINT_A_AT;
    const faults = this.#isHealthy ? {} : this.#plan.faults;
    if (datagrams > (faults.dropGroupsAbove ?? Number.POSITIVE_INFINITY)) {
      this.#figures.droppedGroups += 1;
      this.#figures.droppedDatagrams += datagrams;
      return;
    }
    const kept = this.#treatTail(offset, length, segmentLength, faults);
    const cut = segmentLength > 0 ? segmentLength - (faults.missegmentBytes ?? 0) : 0;
    if ((faults.loss ?? 0) > 0) this.#sendWithLoss(offset, kept, segmentLength, to, faults);
    else this.#hold(offset, kept, cut, to, faults);
  }

  /** Returns the length that is left of a group. */
  #treatTail(offset: number, length: number, segmentLength: number, { shortTails }: RelayFaults): number {
    const tail = segmentLength === 0 ? 0 : length % segmentLength;
    if (tail === 0 || shortTails === undefined) return length;
    if (shortTails === 'drop') {
      this.#figures.droppedDatagrams += 1;
      return length - tail;
    }
    this.#figures.damagedDatagrams += 1;
    this.#arena[offset + length - 1] ^= 0xff;
    return length;
  }

  #sendWithLoss(offset: number, length: number, segmentLength: number, to: number, faults: RelayFaults): void {
    const stride = segmentLength === 0 ? length : segmentLength;
    for (let at = 0; at < length; at += stride) {
      if (this.#draw() < (faults.loss ?? 0)) this.#figures.droppedDatagrams += 1;
      else this.#hold(offset + at, Math.min(stride, length - at), 0, to, faults);
    }
  }

  #hold(offset: number, length: number, segmentLength: number, to: number, faults: RelayFaults): void {
    const delayMs = (faults.delayMs ?? 0) + (faults.jitterMs ?? 0) * this.#draw();
    if (delayMs === 0 || this.#held.length >= HELD_MAX) {
      this.#send(offset, length, segmentLength, to);
      return;
    }
    const bytes = this.#arena.slice(offset, offset + length);
    this.#held.push({ dueMs: performance.now() + delayMs, bytes, segmentLength, to });
  }

  #release(): void {
    const nowMs = performance.now();
    const due = this.#held.filter(({ dueMs }) => dueMs <= nowMs).toSorted((left, right) => left.dueMs - right.dueMs);
    if (due.length === 0) return;
    this.#held = this.#held.filter(({ dueMs }) => dueMs > nowMs);
    for (const { bytes, segmentLength, to } of due) {
      this.#arena.set(bytes, HELD_AT);
      this.#send(HELD_AT, bytes.length, segmentLength, to);
    }
  }

  #send(offset: number, length: number, segmentLength: number, to: number): void {
    if (length === 0) return;
    const words = this.#words.subarray(SEND_AT >> 2);
    words[UDP_SEND.OFFSET] = offset;
    words[UDP_SEND.LENGTH] = length;
    words[UDP_SEND.SEGMENT_LENGTH] = segmentLength < length ? segmentLength : 0;
    words[UDP_SEND.TRAFFIC_CLASS] = -1;
    words[UDP_SEND.ENDPOINT_OFFSET] = to;
    if (sendUdp(this.#opened.handle, SEND_AT, 1, 0) !== 1) this.#figures.refused += 1;
  }

  #isFromA(receive: number): boolean {
    const source = receive + UDP_RECEIVE.ENDPOINT;
    const a = ENDPOINT_A_AT >> 2;
    const words = this.#words;
    return (
      words[source + ENDPOINT.PORT] === words[a + ENDPOINT.PORT] &&
      words[source + ENDPOINT.ADDRESS] === words[a + ENDPOINT.ADDRESS]
    );
  }

  #writeEndpoint(offset: number, text: string): void {
    const [address = '', port = ''] = text.split(':');
    const bytes = Uint8Array.from(address.split('.').map(Number));
    const endpoint = { address: bytes, port: Number(port), scope: 0, localAddress: null, localInterface: 0 };
    writeEndpoint(this.#arena, offset, { family: 4, ...endpoint });
  }

  /** From 0 to 1, by a 32-bit generator (xorshift): the same losses each time. */
  #draw(): number {
    let state = this.#random;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state;
    return (state >>> 0) / 2 ** 32;
  }
}

const relay = new Relay(JSON.parse(process.argv[2] ?? '') as RelayPlan);
process.on('SIGUSR1', () => relay.heal(true));
process.on('SIGUSR2', () => relay.heal(false));
process.on('SIGTERM', () => relay.end());
process.stderr.write('ready\n');
process.stdout.write(`${JSON.stringify(await relay.run())}\n`);
