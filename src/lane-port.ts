/**
 * The control lane's end of one lane: its worker thread, the port between them, and the eventfd that wakes it. Commands
 * are queued on the port and the lane is woken once per flush, not once per command.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { GigatunError } from './errors.ts';
import type { LaneStart } from './lane.ts';
import { wake } from './native/addon.ts';
import type { LaneCommand, LaneEvent } from './tables/lane-messages.ts';

/** A lane that does not leave its loop this long after it was told to is left to the end of the process. */
const CLOSE_TIMEOUT_MS = 2_000;

export class LanePort {
  readonly index: number;
  readonly page: SharedArrayBuffer;
  /** Resolves when the thread has ended, with the error that ended it, if any. */
  readonly ended: Promise<GigatunError | null>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  #wakeFd = -1;
  #aead = '';
  #wakePending = false;

  private constructor(start: LaneStart, onEvent: (event: LaneEvent, lane: number) => void) {
    const { port1, port2 } = new MessageChannel();
    this.index = start.index;
    this.page = start.page;
    this.#port = port1;
    this.#worker = new Worker(new URL('./lane-worker.js', import.meta.url), {
      name: `gigatun lane ${start.index}`,
      workerData: { start, port: port2 },
      transferList: [port2],
    });
    this.ended = new Promise((resolve) => {
      let error: GigatunError | null = null;
      this.#worker.on('error', (cause) => {
        error = new GigatunError('INTERNAL', `lane ${start.index} failed: ${String(cause)}`, { cause });
      });
      this.#worker.on('exit', () => resolve(error));
    });
    this.#port.on('message', (event: LaneEvent) => {
      if (event.type === 'ready') {
        this.#wakeFd = event.wakeFd;
        this.#aead = event.aead;
      }
      onEvent(event, start.index);
    });
  }

  /** Starts the thread; resolves when the lane waits for work. */
  static async open(start: LaneStart, onEvent: (event: LaneEvent, lane: number) => void): Promise<LanePort> {
    let ready = (): void => undefined;
    const isReady = new Promise<null>((resolve) => {
      ready = () => resolve(null);
    });
    const lane = new LanePort(start, (event, index) => {
      if (event.type === 'ready') ready();
      onEvent(event, index);
    });
    const failed = lane.ended.then((error) => error ?? new GigatunError('INTERNAL', `lane ${start.index} ended early`));
    const error = await Promise.race([isReady, failed]);
    if (error !== null) throw error;
    return lane;
  }

  /** AEAD back end that the lane uses. */
  get aead(): string {
    return this.#aead;
  }

  /** Queues a command; the lane is woken at the end of the present task. */
  post(command: LaneCommand): void {
    this.#port.postMessage(command);
    if (this.#wakePending) return;
    this.#wakePending = true;
    queueMicrotask(() => this.#wakeNow());
  }

  /** Asks the lane to leave its loop and waits for its thread to end. */
  async close(): Promise<void> {
    this.#port.postMessage({ type: 'close' });
    this.#wakeNow();
    this.#wakeFd = -1;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
    });
    await Promise.race([this.ended, timeout]);
    clearTimeout(timer);
    this.#port.close();
    void this.#worker.terminate();
  }

  #wakeNow(): void {
    this.#wakePending = false;
    if (this.#wakeFd < 0) return;
    try {
      wake(this.#wakeFd);
    } catch {
      // A lane that failed has closed its eventfd already; `ended` tells why.
      this.#wakeFd = -1;
    }
  }
}
