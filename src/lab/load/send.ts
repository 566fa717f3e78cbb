/**
 * The sending ends of a UDP load. `sendWindowed` is QUIC-like: groups of datagrams by UDP_SEGMENT, as many in flight as a window
 * that acknowledgements open and losses close, so that what arrives is throughput and not a flood. `sendSteps` offers rates that
 * rise step by step, each datagram on its own. Both end by themselves and then say so to the receiver.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { KIND, kindOf, receivedOf, sequenceOf, writeDatagram } from './datagram.ts';
import { familyOf, GROUP_BYTES_MAX, LoadSocket, SEND_EACH_MAX } from './socket.ts';
import { CongestionWindow } from './window.ts';

export interface Target {
  /** Numeric. */
  readonly address: string;
  readonly port: number;
  /** UDP payload of each datagram, bytes, 20 or more. */
  readonly length: number;
}

export interface WindowedSent {
  readonly datagrams: number;
  readonly groups: number;
  readonly seconds: number;
  /** Times that the window was cut by losses. */
  readonly cuts: number;
}

export interface StepSent {
  /** What was asked for, datagrams per second; 0 for as many as possible. */
  readonly rate: number;
  readonly datagrams: number;
  readonly seconds: number;
}

/** In flight at most: what a socket buffer of 7 MB holds of datagrams that the kernel did not join. */
const WINDOW_BYTES_MAX = 2 << 20;
const ACK_WAIT_MS = 20;
const ACK_SILENCE_MS = 250;
/** Between two steps, so that what is queued of one is not counted to the next. */
const PAUSE_MS = 150;
const PACE_MS = 0.5;
const END_TRIES = 8;
const END_PAUSE_MS = 25;

/** Sends for `seconds`, then ends the receiver. */
export async function sendWindowed(target: Target, seconds: number): Promise<WindowedSent> {
  const socket = aimed(target);
  try {
    const sent = new WindowedSender(socket, target.length).run(seconds);
    await end(socket);
    return sent;
  } finally {
    socket.close();
  }
}

/** Offers each of `rates` (datagrams per second; 0: unlimited) for `seconds`, then ends the receiver. Step numbers are indices. */
export async function sendSteps(target: Target, rates: readonly number[], seconds: number): Promise<StepSent[]> {
  const socket = aimed(target);
  try {
    const steps: StepSent[] = [];
    for (const [step, rate] of rates.entries()) {
      steps.push(sendPaced(socket, target.length, step, rate, seconds));
      await delay(PAUSE_MS);
    }
    await end(socket);
    return steps;
  } finally {
    socket.close();
  }
}

class WindowedSender {
  readonly #socket: LoadSocket;
  readonly #length: number;
  readonly #groupMax: number;
  readonly #window: CongestionWindow;
  #sent = 0;
  #groups = 0;
  #heardMs = 0;

  constructor(socket: LoadSocket, length: number) {
    this.#socket = socket;
    this.#length = length;
    this.#groupMax = Math.max(1, Math.min(socket.groupDatagramsMax, Math.floor(GROUP_BYTES_MAX / length)));
    this.#window = new CongestionWindow(Math.floor(WINDOW_BYTES_MAX / length));
  }

  run(seconds: number): WindowedSent {
    const startedMs = performance.now();
    const take = (at: number, length: number): void => this.#take(at, length);
    this.#heardMs = startedMs;
    let nowMs = startedMs;
    for (; nowMs - startedMs < seconds * 1_000; nowMs = performance.now()) {
      this.#fillWindow();
      if (this.#socket.wait(ACK_WAIT_MS) && this.#socket.receive(take) > 0) this.#heardMs = performance.now();
      if (performance.now() - this.#heardMs > ACK_SILENCE_MS) {
        this.#window.expire(this.#sent);
        this.#heardMs = performance.now();
      }
    }
    const { cuts } = this.#window;
    return { datagrams: this.#sent, groups: this.#groups, seconds: (nowMs - startedMs) / 1_000, cuts };
  }

  /** A quarter of the window at a time, so that acknowledgements of one part bring the next on its way. */
  #fillWindow(): void {
    const { view, out } = this.#socket;
    const size = Math.floor(this.#window.size);
    const group = Math.max(1, Math.min(this.#groupMax, size >> 2));
    while (this.#sent - this.#window.acknowledged + group <= size) {
      for (let i = 0; i < group; i += 1) {
        writeDatagram(view, out + i * this.#length, KIND.WINDOWED, 0, this.#sent + i);
      }
      if (!this.#socket.sendGroup(group, this.#length)) return;
      this.#sent += group;
      this.#groups += 1;
    }
  }

  #take(at: number, length: number): void {
    const { view } = this.#socket;
    if (kindOf(view, at, length) !== KIND.ACK) return;
    this.#window.acknowledge(sequenceOf(view, at), receivedOf(view, at), this.#sent);
  }
}

function aimed({ address, port }: Target): LoadSocket {
  const socket = new LoadSocket(familyOf(address), 0);
  socket.aim(address, port);
  return socket;
}

/** One step. What the socket does not take counts as not offered. */
function sendPaced(socket: LoadSocket, length: number, step: number, rate: number, seconds: number): StepSent {
  const { view, out } = socket;
  const batchMax = Math.min(SEND_EACH_MAX, Math.floor(socket.outLength / length));
  const startedMs = performance.now();
  let numbered = 0;
  let taken = 0;
  let elapsedMs = 0;
  for (; elapsedMs < seconds * 1_000; elapsedMs = performance.now() - startedMs) {
    const due = rate === 0 ? batchMax : Math.min(batchMax, Math.floor((elapsedMs * rate) / 1_000) - numbered);
    for (let i = 0; i < due; i += 1) writeDatagram(view, out + i * length, KIND.DATA, step, numbered + i);
    if (due > 0) taken += socket.sendEach(due, length);
    numbered += due;
    if (rate !== 0 && due < batchMax) socket.wait(PACE_MS);
  }
  return { rate, datagrams: taken, seconds: elapsedMs / 1_000 };
}

/** Several times, since each may be lost. */
async function end(socket: LoadSocket): Promise<void> {
  await delay(PAUSE_MS);
  for (let i = 0; i < END_TRIES; i += 1) {
    writeDatagram(socket.view, socket.out, KIND.END, 0, 0);
    socket.sendGroup(1, 16);
    await delay(END_PAUSE_MS);
  }
}
