/**
 * The control lane's end of one lane: its worker thread, the port between them, and the eventfd that wakes it. Commands
 * are queued on the port and the lane is woken once per flush, not once per command; and while there is much to say, not
 * more often than each millisecond, for on a full core a wake-up costs more than what it is for. What is posted before the
 * lane is ready waits for it.
 */
import { MessageChannel, type MessagePort, type ResourceLimits, Worker } from 'node:worker_threads';
import { GigatunError } from './errors.ts';
import type { LaneStart } from './lane.ts';
import { laneError } from './lane-error.ts';
import { wake } from './native/addon.ts';
import type { LaneCommand, LaneEvent } from './tables/lane-messages.ts';

/** A lane that does not leave its loop this long after it was told to is left to the end of the process. */
const CLOSE_TIMEOUT_MS = 2_000;
const COMMIT_TIMEOUT_MS = 1_000;
/** So soon after the last wake-up the lane is only woken when this thread has done what is at hand. */
const WAKE_INTERVAL_MS = 1;

export class LanePort {
  readonly index: number;
  readonly page: SharedArrayBuffer;
  /** Resolves when the lane waits for work, with null, or when its thread ended before, with the error that ended it. */
  readonly started: Promise<GigatunError | null>;
  /** Resolves when the thread has ended, with the error that ended it, if any. */
  readonly ended: Promise<GigatunError | null>;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #onEvent: (event: LaneEvent, lane: number) => void;
  /** Commits that were asked for, by id. */
  readonly #commits: Map<number, () => void> = new Map();
  #lastCommit = 0;
  #wakeFd = -1;
  #aead = '';
  #wakePending: 'no' | 'soon' | 'later' = 'no';
  #wokenMs = 0;
  #closing = false;

  /** Starts the thread. `onEvent` hears of all that the lane tells. */
  constructor(start: LaneStart, onEvent: (event: LaneEvent, lane: number) => void, heapLimits: ResourceLimits) {
    const { port1, port2 } = new MessageChannel();
    this.index = start.index;
    this.page = start.page;
    this.#onEvent = onEvent;
    this.#port = port1;
    this.#worker = new Worker(new URL('./lane-worker.js', import.meta.url), {
      name: `gigatun lane ${start.index}`,
      workerData: { start, port: port2 },
      transferList: [port2],
      resourceLimits: heapLimits,
    });
    this.ended = new Promise((resolve) => {
      let error: GigatunError | null = null;
      this.#worker.on('error', (thrown) => {
        error = laneError(start.index, thrown);
      });
      this.#worker.on('exit', () => resolve(error));
    });
    const ready = new Promise<null>((resolve) => {
      this.#port.on('message', (event: LaneEvent) => {
        this.#take(event);
        if (event.type === 'ready') resolve(null);
      });
    });
    const early = this.ended.then((error) => error ?? new GigatunError('INTERNAL', `lane ${start.index} ended early`));
    this.started = Promise.race([ready, early]);
  }

  /** AEAD back end that the lane uses. */
  get aead(): string {
    return this.#aead;
  }

  /** Queues a command; the lane is woken at the end of the present task, or of those at hand if it was just woken. */
  post(command: LaneCommand): void {
    this.#port.postMessage(command);
    if (this.#wakePending === 'soon') return;
    const isDue = performance.now() - this.#wokenMs >= WAKE_INTERVAL_MS;
    if (isDue) queueMicrotask(() => this.#wakeIfPending());
    else if (this.#wakePending === 'no') setImmediate(() => this.#wakeIfPending());
    this.#wakePending = isDue ? 'soon' : 'later';
  }

  /** Gets the lane out of its wait, at once. */
  wakeNow(): void {
    this.#wakeNow();
  }

  /** Has the lane commit its books; resolves when it has, or after a second. */
  commit(): Promise<void> {
    this.#lastCommit += 1;
    const id = this.#lastCommit;
    return new Promise((resolve) => {
      const timer = setTimeout(() => finish(), COMMIT_TIMEOUT_MS);
      const finish = (): void => {
        clearTimeout(timer);
        this.#commits.delete(id);
        resolve();
      };
      this.#commits.set(id, finish);
      this.post({ type: 'snapshot', id });
    });
  }

  /**
   * Asks the lane to leave its loop and waits for its thread to end, for two seconds at most. Resolves with whether it has
   * ended: while it has not, it may still use its descriptors.
   */
  async close(): Promise<boolean> {
    this.#closing = true;
    this.#port.postMessage({ type: 'close' });
    this.#wakeNow();
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), CLOSE_TIMEOUT_MS);
    });
    const hasEnded = await Promise.race([this.ended.then(() => true), timeout]);
    clearTimeout(timer);
    this.#port.close();
    void this.#worker.terminate();
    return hasEnded;
  }

  #take(event: LaneEvent): void {
    if (event.type === 'ready') {
      this.#wakeFd = event.wakeFd;
      this.#aead = event.aead;
      this.#wakeNow();
    } else if (event.type === 'snapshot') this.#commits.get(event.id)?.();
    this.#onEvent(event, this.index);
  }

  #wakeIfPending(): void {
    if (this.#wakePending !== 'no') this.#wakeNow();
  }

  #wakeNow(): void {
    this.#wakePending = 'no';
    this.#wokenMs = performance.now();
    if (this.#wakeFd < 0) return;
    try {
      wake(this.#wakeFd);
    } catch {
      // A lane that failed has closed its eventfd already; `ended` tells why.
      this.#wakeFd = -1;
    }
    // The last word was said: the lane closes its eventfd when it likes.
    if (this.#closing) this.#wakeFd = -1;
  }
}
