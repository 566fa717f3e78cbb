/**
 * The receiving end of a UDP load: counts, answers what wants an answer (once per batch), and ends when it is told to, when
 * nothing came for a while, or when its time is over.
 */
import { ACK_LENGTH, KIND, kindOf, sequenceOf, stepOf, writeAck } from './datagram.ts';
import { LoadSocket } from './socket.ts';
import { type StepReceived, type StepTally, Tallies } from './tally.ts';

const WAIT_MS = 100;
/** Between the first datagram and the end, nothing comes for at most this long. */
const SILENCE_MS = 5_000;

/** Receives until the end. `onReady` is told the port. */
export function receiveLoad(
  family: 4 | 6,
  port: number,
  secondsMax: number,
  onReady: (port: number) => void,
): StepReceived[] {
  const socket = new LoadSocket(family, port);
  try {
    onReady(socket.port);
    return new Receiver(socket).run(secondsMax);
  } finally {
    socket.close();
  }
}

class Receiver {
  readonly #socket: LoadSocket;
  readonly #tallies: Tallies = new Tallies();
  #nowMs = 0;
  #ended = false;
  /** The step that is owed an acknowledgement. */
  #owed: StepTally | null = null;

  constructor(socket: LoadSocket) {
    this.#socket = socket;
  }

  run(secondsMax: number): StepReceived[] {
    const deadlineMs = performance.now() + secondsMax * 1_000;
    let heardMs = Number.POSITIVE_INFINITY;
    const take = (at: number, length: number): void => this.#take(at, length);
    while (!this.#ended) {
      this.#socket.wait(WAIT_MS);
      this.#nowMs = performance.now();
      if (this.#socket.receive(take, true) > 0) heardMs = this.#nowMs;
      if (this.#owed !== null) this.#acknowledge(this.#owed);
      if (this.#nowMs > deadlineMs || this.#nowMs - heardMs > SILENCE_MS) break;
    }
    return this.#tallies.all();
  }

  #take(at: number, length: number): void {
    const { view } = this.#socket;
    const kind = kindOf(view, at, length);
    if (kind === KIND.END) this.#ended = true;
    if (kind !== KIND.DATA && kind !== KIND.WINDOWED) return;
    const tally = this.#tallies.of(stepOf(view, at));
    tally?.add(sequenceOf(view, at), length, this.#nowMs);
    if (kind === KIND.WINDOWED) this.#owed = tally;
  }

  #acknowledge({ step, next, datagrams }: StepTally): void {
    writeAck(this.#socket.view, this.#socket.out, step, next, datagrams);
    this.#socket.sendGroup(1, ACK_LENGTH);
    this.#owed = null;
  }
}
