/**
 * In place of a worker thread: a lane that the test plays. It gets what a lane gets and answers over the port that it was
 * given; what it does when it starts and when it is told to close is the test's to say.
 */
import { EventEmitter } from 'node:events';
import { readlinkSync } from 'node:fs';
import type { MessagePort, ResourceLimits } from 'node:worker_threads';
import type { LaneStart } from '../../../src/lane.ts';
import type { LaneCommand, LaneEvent } from '../../../src/tables/lane-messages.ts';

interface PlayedOptions {
  readonly workerData: { readonly start: LaneStart; readonly port: MessagePort };
  readonly resourceLimits?: ResourceLimits;
}

/** In the order of their starts. */
export const playedLanes: PlayedLane[] = [];

export class PlayedLane extends EventEmitter {
  static whenStarted: (lane: PlayedLane) => void = () => undefined;
  static whenClosed: (lane: PlayedLane) => void = () => undefined;
  readonly start: LaneStart;
  readonly resourceLimits: ResourceLimits | undefined;
  /** Its descriptors, and what was behind them when it started. */
  readonly fds: readonly number[];
  readonly files: readonly string[];
  readonly commands: LaneCommand[] = [];
  hasEnded = false;
  readonly #port: MessagePort;

  constructor(_url: URL, { workerData, resourceLimits }: PlayedOptions) {
    super();
    this.resourceLimits = resourceLimits;
    this.start = workerData.start;
    const { tunFd, udp4Fd, udp6Fd } = this.start;
    this.fds = [tunFd, udp4Fd, udp6Fd];
    this.files = this.fds.map((fd) => fileBehind(fd));
    this.#port = workerData.port;
    this.#port.on('message', (command: LaneCommand) => {
      this.commands.push(command);
      if (command.type === 'close') PlayedLane.whenClosed(this);
    });
    playedLanes.push(this);
    setImmediate(() => PlayedLane.whenStarted(this));
  }

  ready(): void {
    this.tell({ type: 'ready', wakeFd: -1, aead: 'openssl' });
  }

  tell(event: LaneEvent): void {
    this.#port.postMessage(event);
  }

  /** Its thread ends, by an error if one is given. Twice is fine. */
  end(error?: Error): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    if (error !== undefined) this.emit('error', error);
    this.#port.close();
    this.emit('exit');
  }

  async terminate(): Promise<void> {}
}

/** What an open descriptor of this process refers to; empty for one that is closed. */
export function fileBehind(fd = -1): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
