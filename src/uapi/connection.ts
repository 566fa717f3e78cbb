/**
 * One connection to the UAPI socket: requests in, answers out, one after the other in order. Nothing more is read before
 * the answer has left, so a client that does not read waits alone. Who stops within a request, or does not take its answer,
 * loses the connection after a while; who waits between requests may stay.
 */
import type { Socket } from 'node:net';
import type { DeviceChange, DeviceSettings } from '../control/device-change.ts';
import type { Logger } from '../control/log.ts';
import { messageOf } from '../control/system-error.ts';
import { formatErrno, formatSettings, wipeSettings } from './answer.ts';
import { wipeChange } from './change-builder.ts';
import { errnoOf } from './errno.ts';
import type { LineBudget } from './line-budget.ts';
import { RequestParser, type UapiRequest } from './request-parser.ts';

/** What is read and changed over the UAPI; a `Device` is one. */
export interface UapiDevice {
  /** Carries a change out whole, or throws a GigatunError and changes nothing. Keeps none of the change's arrays. */
  configure(change: DeviceChange): void;
  /** Keys are copies, zeroed when they are sent. */
  settings(): DeviceSettings;
}

/** How long a client may stop within a request or an answer, milliseconds. */
export const STALL_LIMIT_MS = 120_000;

export interface ConnectionTools {
  readonly log: Logger;
  /** Shared by all connections. */
  readonly budget: LineBudget;
  /** As STALL_LIMIT_MS. */
  readonly stallLimitMs: number;
}

export class Connection {
  /** When something last came or went, milliseconds of the monotonic clock. */
  lastActiveMs: number = performance.now();
  readonly #socket: Socket;
  readonly #device: UapiDevice;
  readonly #log: Logger;
  readonly #stallLimitMs: number;
  readonly #parser: RequestParser;
  #isAnswering = false;
  #isFinishing = false;

  constructor(socket: Socket, device: UapiDevice, { log, budget, stallLimitMs }: ConnectionTools) {
    this.#socket = socket;
    this.#device = device;
    this.#log = log;
    this.#stallLimitMs = stallLimitMs;
    this.#parser = new RequestParser(budget);
    socket.on('timeout', () => socket.destroy());
    socket.on('error', (error) => log.debug('UAPI connection', { error: error.message }));
    this.#serve().catch((error: unknown) => {
      log.debug('UAPI connection', { error: messageOf(error) });
      socket.destroy();
    });
  }

  /** Ends the connection, after the answer under way. */
  finish(): void {
    this.#isFinishing = true;
    if (!this.#isAnswering) this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #serve(): Promise<void> {
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        this.lastActiveMs = performance.now();
        this.#parser.feed(chunk);
        if (!(await this.#answerAll())) break;
        this.#socket.setTimeout(this.#parser.isWithin ? this.#stallLimitMs : 0);
      }
    } finally {
      const cut = this.#parser.end();
      if (cut !== null && this.#socket.writable) await this.#answer(cut);
    }
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Answers what has come in whole; returns whether the connection goes on. */
  async #answerAll(): Promise<boolean> {
    for (let request = this.#parser.next(); request !== null; request = this.#parser.next()) {
      this.#isAnswering = true;
      await this.#answer(request);
      this.#isAnswering = false;
      this.lastActiveMs = performance.now();
      if (this.#isFinishing || (request.kind === 'refused' && request.isLast)) return false;
    }
    return true;
  }

  async #answer(request: UapiRequest): Promise<void> {
    this.#socket.setTimeout(this.#stallLimitMs);
    if (request.kind === 'get') await this.#get();
    else if (request.kind === 'set') await this.#set(request.change);
    else await this.#refuse(request.operation, request.error);
  }

  async #get(): Promise<void> {
    let settings: DeviceSettings;
    try {
      settings = this.#device.settings();
    } catch (error) {
      return await this.#refuse('get', error);
    }
    try {
      for (const piece of formatSettings(settings)) await this.#write(piece);
    } finally {
      wipeSettings(settings);
    }
    await this.#write(formatErrno(0));
  }

  async #set(change: DeviceChange): Promise<void> {
    try {
      this.#device.configure(change);
    } catch (error) {
      return await this.#refuse('set', error);
    } finally {
      wipeChange(change);
    }
    await this.#write(formatErrno(0));
  }

  async #refuse(operation: 'get' | 'set' | null, error: unknown): Promise<void> {
    this.#log.warn('a UAPI request was refused', { operation: operation ?? 'unknown', reason: messageOf(error) });
    const errno = errnoOf(error);
    if (operation !== null) await this.#write(formatErrno(operation === 'set' ? -errno : errno));
  }

  /** Resolves when the kernel has taken it, so that nothing piles up, and memory can be used again. */
  #write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }
}
