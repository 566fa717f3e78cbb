/**
 * The link emulator: a UDP relay between whoever sends to its port and one target, which treats each datagram as its link
 * would. What comes from the target goes to the client, what comes from elsewhere goes to the target; the client is who sent
 * last, unless it was named.
 *
 *     receiveUdp -> LinkDirection -> DelayLine -> sendUdp
 *
 * Datagrams that arrive together leave together, one behind the other in one group where they are equal in length.
 */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { GigatunError } from '../../errors.ts';
import { closeLane, openLane, openUdp, receiveUdp, sendUdp, wait } from '../../native/addon.ts';
import { BOOKS, ENDPOINT, READY, UDP_RECEIVE, UDP_SEND } from '../../native/layout.ts';
import { type Endpoint, writeEndpoint } from '../../packet/endpoint.ts';
import { DelayLine } from './delay-line.ts';
import { checkImpairments, type Impairments } from './impairments.ts';
import { type DirectionFigures, LinkDirection } from './link-direction.ts';

export interface EmulatorPlan {
  /** UDP port that it listens on, on all addresses. */
  readonly port: number;
  readonly target: Endpoint;
  /** Null: whoever sent last. */
  readonly client: Endpoint | null;
  /** From the client to the target, and back. */
  readonly toTarget: Impairments;
  readonly toClient: Impairments;
  /** Of all chance. */
  readonly seed: number;
}

export interface EmulatorFigures {
  readonly toTarget: DirectionFigures;
  readonly toClient: DirectionFigures;
  /** Datagrams that found no room, that had nobody to go to, and that the kernel refused to send. */
  readonly overflowed: number;
  readonly unaddressed: number;
  readonly refused: number;
}

const RECEIVES = 64;
const SENDS = 256;
/** The kernel's limits for one group: datagrams, and bytes. */
const GROUP_DATAGRAMS = 64;
const GROUP_BYTES = 65_000;
const RECEIVE_BYTES = 4 << 20;
const HELD_BYTES = 64 << 20;
/** Nothing to wait for: signals are heard so often, ms. */
const IDLE_MS = 20;
const TO_TARGET = 0;
const TO_CLIENT = 1;

const RECEIVE_AT = 0;
const SEND_AT = RECEIVE_AT + RECEIVES * UDP_RECEIVE.WORDS * 4;
const TARGET_AT = SEND_AT + SENDS * UDP_SEND.WORDS * 4;
const CLIENT_AT = TARGET_AT + ENDPOINT.WORDS * 4;
const BUFFER_AT = Math.ceil((CLIENT_AT + ENDPOINT.WORDS * 4) / 64) * 64;
const HELD_AT = BUFFER_AT + RECEIVE_BYTES;

export class Emulator {
  readonly #plan: EmulatorPlan;
  readonly #arena: Uint8Array = new Uint8Array(new SharedArrayBuffer(HELD_AT + HELD_BYTES));
  readonly #words: Int32Array = new Int32Array(this.#arena.buffer);
  readonly #line: DelayLine = new DelayLine(this.#arena, HELD_AT, HELD_BYTES);
  readonly #directions: readonly [LinkDirection, LinkDirection];
  readonly #fds: { readonly udp4Fd: number; readonly udp6Fd: number };
  readonly #lane: ReturnType<typeof openLane>;
  readonly #startMs: number = performance.now();
  #overflowed = 0;
  #unaddressed = 0;
  #refused = 0;
  #isEnded = false;

  /** @throws GigatunError CONFIG for a plan that makes no sense, BUSY when the port is taken */
  constructor(plan: EmulatorPlan) {
    checkImpairments(plan.toTarget, 'to the target');
    checkImpairments(plan.toClient, 'to the client');
    this.#plan = plan;
    this.#directions = [new LinkDirection(plan.toTarget, plan.seed), new LinkDirection(plan.toClient, ~plan.seed)];
    this.#fds = openSockets(plan);
    const books = new Float64Array(BOOKS.CELLS);
    this.#lane = openLane({ arena: this.#arena, books, tunFd: -1, ...this.#fds, aead: 'openssl', bookTime: false });
    writeEndpoint(this.#arena, TARGET_AT, plan.target);
    writeEndpoint(this.#arena, CLIENT_AT, plan.client);
  }

  get figures(): EmulatorFigures {
    const [toTarget, toClient] = this.#directions;
    const ours = { overflowed: this.#overflowed, unaddressed: this.#unaddressed, refused: this.#refused };
    return { toTarget: { ...toTarget.figures }, toClient: { ...toClient.figures }, ...ours };
  }

  /** Cuts the link, or mends it, in both directions. What is on its way still arrives. */
  cut(isCut: boolean): void {
    for (const direction of this.#directions) direction.isCut = isCut;
  }

  end(): void {
    this.#isEnded = true;
  }

  /** Relays for so long, or until `end`; signals are heard in between. */
  async run(seconds: number): Promise<EmulatorFigures> {
    const endMs = this.#startMs + seconds * 1_000;
    try {
      while (!this.#isEnded && performance.now() < endMs) {
        this.#turn();
        await turn();
      }
      return this.figures;
    } finally {
      closeLane(this.#lane.handle);
      for (const fd of Object.values(this.#fds)) if (fd >= 0) closeSync(fd);
    }
  }

  #turn(): void {
    const waitMs = (this.#line.nextUs - this.#nowUs()) / 1_000;
    const ready = wait(this.#lane.handle, Math.min(Math.max(waitMs, 0), IDLE_MS), READY.UDP4 | READY.UDP6, 0);
    if ((ready & READY.UDP4) !== 0) this.#receive(4);
    if ((ready & READY.UDP6) !== 0) this.#receive(6);
    const nowUs = this.#nowUs();
    while (this.#line.nextUs <= nowUs) this.#sendDue(nowUs);
  }

  #nowUs(): number {
    return (performance.now() - this.#startMs) * 1_000;
  }

  #receive(family: 4 | 6): void {
    const { handle } = this.#lane;
    const count = receiveUdp(handle, family, RECEIVE_AT, RECEIVES, BUFFER_AT, RECEIVE_BYTES, 0);
    const nowUs = this.#nowUs();
    for (let receive = 0; receive < count; receive += 1)
      this.#admit((RECEIVE_AT >> 2) + receive * UDP_RECEIVE.WORDS, nowUs);
  }

  #admit(receive: number, nowUs: number): void {
    const words = this.#words;
    const length = words[receive + UDP_RECEIVE.LENGTH] ?? 0;
    const stride = words[receive + UDP_RECEIVE.SEGMENT_LENGTH] || length;
    const start = words[receive + UDP_RECEIVE.OFFSET] ?? 0;
    const direction = this.#directionOf(receive + UDP_RECEIVE.ENDPOINT);
    let offset = start;
    do {
      this.#admitOne(offset, Math.min(stride, start + length - offset), direction, nowUs);
      offset += stride;
    } while (offset < start + length);
  }

  /** Datagrams without content are nobody's, and left out. */
  #admitOne(offset: number, length: number, direction: 0 | 1, nowUs: number): void {
    if (length === 0) return;
    if (familyOf(this.#words, direction) === 0) {
      this.#unaddressed += 1;
      return;
    }
    const model = this.#directions[direction];
    const times = model.pass(nowUs, length);
    for (let time = 0; time < times; time += 1)
      if (!this.#line.add(offset, length, direction, model.arrivalsUs[time] ?? 0)) this.#overflowed += 1;
  }

  /** By its source; a client that was not named is remembered, with the address it sent to, from which it is answered. */
  #directionOf(source: number): 0 | 1 {
    const words = this.#words;
    if (isSameRemote(words, source, TARGET_AT >> 2)) {
      words.copyWithin(TARGET_AT >> 2, source, source + ENDPOINT.WORDS);
      return TO_CLIENT;
    }
    if (this.#plan.client === null || isSameRemote(words, source, CLIENT_AT >> 2))
      words.copyWithin(CLIENT_AT >> 2, source, source + ENDPOINT.WORDS);
    return TO_TARGET;
  }

  /** Sends up to SENDS groups of what has arrived. */
  #sendDue(nowUs: number): void {
    const line = this.#line;
    let groups = 0;
    let end = -1;
    let datagrams = 0;
    let direction = -1;
    while (groups < SENDS) {
      const slot = line.take(nowUs);
      if (slot < 0) break;
      const offset = line.offsetOf(slot);
      const length = line.lengthOf(slot);
      const isNext = offset === end && line.directionOf(slot) === direction && datagrams < GROUP_DATAGRAMS;
      if (isNext && this.#joins((SEND_AT >> 2) + (groups - 1) * UDP_SEND.WORDS, length)) datagrams += 1;
      else {
        direction = line.directionOf(slot);
        this.#open(groups, offset, length, direction);
        groups += 1;
        datagrams = 1;
      }
      end = offset + length;
    }
    if (groups > 0) this.#refused += groups - sendUdp(this.#lane.handle, SEND_AT, groups, 0);
    line.release();
  }

  /** Adds a datagram to a group whose last has its length; false if it does not fit. */
  #joins(send: number, length: number): boolean {
    const words = this.#words;
    const groupLength = words[send + UDP_SEND.LENGTH] ?? 0;
    const segmentLength = words[send + UDP_SEND.SEGMENT_LENGTH] || groupLength;
    if (length !== segmentLength || groupLength + length > GROUP_BYTES) return false;
    words[send + UDP_SEND.SEGMENT_LENGTH] = segmentLength;
    words[send + UDP_SEND.LENGTH] = groupLength + length;
    return true;
  }

  #open(group: number, offset: number, length: number, direction: number): void {
    const words = this.#words;
    const send = (SEND_AT >> 2) + group * UDP_SEND.WORDS;
    words[send + UDP_SEND.OFFSET] = offset;
    words[send + UDP_SEND.LENGTH] = length;
    words[send + UDP_SEND.SEGMENT_LENGTH] = 0;
    words[send + UDP_SEND.TRAFFIC_CLASS] = -1;
    words[send + UDP_SEND.ENDPOINT_OFFSET] = direction === TO_TARGET ? TARGET_AT : CLIENT_AT;
  }
}

/** Family of whom a direction leads to; 0 while nobody is known. */
function familyOf(words: Int32Array, direction: 0 | 1): number {
  return words[(direction === TO_TARGET ? TARGET_AT : CLIENT_AT) >> 2] ?? 0;
}

function isSameRemote(words: Int32Array, left: number, right: number): boolean {
  for (let word = 0; word < ENDPOINT.SCOPE; word += 1) if (words[left + word] !== words[right + word]) return false;
  return true;
}

/** Sockets of both families, as far as the kernel has them; the target's must open. */
function openSockets({ port, target }: EmulatorPlan): { udp4Fd: number; udp6Fd: number } {
  const open = (family: 4 | 6): number => {
    const options = { reusePort: false, joinPort: false, fwmark: 0, gro: true, bufferLength: 7 << 20 } as const;
    try {
      return openUdp({ family, port, ...options }).fd;
    } catch (error) {
      if (family !== target.family && isFamilyMissing(error)) return -1;
      throw error;
    }
  };
  const udp4Fd = open(4);
  try {
    return { udp4Fd, udp6Fd: open(6) };
  } catch (error) {
    if (udp4Fd >= 0) closeSync(udp4Fd);
    throw error;
  }
}

/** Whether the kernel has no sockets of a family (IPv6 may be off). */
function isFamilyMissing(error: unknown): boolean {
  return error instanceof GigatunError && error.errno === constants.errno.EAFNOSUPPORT;
}
