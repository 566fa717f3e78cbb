/**
 * The UAPI of one interface: the socket through which `wg`, `wg-quick` and other programs read and change a device, as
 * they do with wireguard-go. `docs/uapi.md` has the protocol; here connections come in, and the socket goes.
 *
 * Whoever can open the socket can read the private key and change everything: only its owner can.
 */
import { rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import type { Logger } from '../control/log.ts';
import { messageOf } from '../control/system-error.ts';
import { Connection, STALL_LIMIT_MS, type UapiDevice } from './connection.ts';
import { LineBudget } from './line-budget.ts';
import { type FileIdentity, identityOf, isGone, RemovalWatch } from './removal-watch.ts';
import { listenAt, listenOn, uapiPath } from './socket.ts';

export type { UapiDevice } from './connection.ts';

export interface UapiOptions {
  /** Interface name. */
  readonly name: string;
  readonly device: UapiDevice;
  /** Called once when somebody has removed the socket's file: the device is to end. Not called after close(). */
  readonly onRemoved: () => void;
  readonly log: Logger;
  /** A listening UNIX socket that was opened already, which becomes the server's; absent: one is opened. */
  readonly fd?: number;
  /** Where the socket lies; default /var/run/wireguard. */
  readonly directory?: string;
  /** How long a client may stop within a request or an answer, milliseconds; default 120 s. */
  readonly stallLimitMs?: number;
}

export interface UapiServer {
  /** Path of the socket. */
  readonly path: string;
  /** Removes the socket, finishes the answers under way, ends all connections. Twice is fine. */
  close(): Promise<void>;
}

/** One more, and the connection that was silent longest makes room. */
export const CONNECTIONS_MAX = 64;
/** How long close() waits for a client to take its last answer. */
const CLOSE_LIMIT_MS = 2_000;

/**
 * Serves the UAPI of a device: to be called when the device is open, and closed before the device is. From then on `wg show`
 * and `wg set` work, so a program that goes to the background is ready no sooner. `onRemoved` is for ending: call the
 * device's close() there, and this server's. `fd` is for a listening socket from outside (WG_UAPI_FD); a child that serves
 * needs none, for it can open its own.
 *
 *     const device = await openDevice({ name, config, log });
 *     const uapi = await openUapi({ name: device.name, device, log, onRemoved: () => end('its socket was removed') });
 *
 * @throws GigatunError BUSY when another process serves this name, PERMISSION when /var/run/wireguard may not be written,
 *   CONFIG when `fd` is no listening UNIX socket.
 */
export async function openUapi(options: UapiOptions): Promise<UapiServer> {
  const path = uapiPath(options.name, options.directory);
  const connections = new Connections(options);
  const take = (socket: Socket): void => connections.take(socket);
  const server = options.fd === undefined ? await listenAt(path, take) : await listenOn(options.fd, take);
  server.on('error', (error) => options.log.warn('UAPI socket', { error: error.message }));
  return new OpenServer(path, server, connections, options);
}

class OpenServer implements UapiServer {
  readonly path: string;
  readonly #server: Server;
  readonly #connections: Connections;
  /** Null when a descriptor was handed over that has no file at the usual place. */
  readonly #file: FileIdentity | null;
  readonly #watch: RemovalWatch | null;
  readonly #log: Logger;
  #closed: Promise<void> | null = null;

  constructor(path: string, server: Server, connections: Connections, { onRemoved, log }: UapiOptions) {
    this.path = path;
    this.#server = server;
    this.#connections = connections;
    this.#log = log;
    this.#file = identityOf(path);
    this.#watch = this.#file === null ? null : new RemovalWatch(path, this.#file, onRemoved);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** Whoever sees its connection end finds no socket any more. Another's socket of the same name stays. */
  async #close(): Promise<void> {
    this.#watch?.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#removeFile();
    this.#connections.finish();
    const limit = setTimeout(() => this.#connections.destroy(), CLOSE_LIMIT_MS);
    await closed;
    clearTimeout(limit);
  }

  /** It may not be allowed to any more, since privileges were given up. */
  #removeFile(): void {
    if (this.#file === null || isGone(this.path, this.#file)) return;
    try {
      rmSync(this.path, { force: true });
    } catch (error) {
      this.#log.warn(`the UAPI socket could not be removed: ${messageOf(error)}`);
    }
  }
}

class Connections {
  readonly #options: UapiOptions;
  readonly #budget: LineBudget = new LineBudget();
  readonly #present: Set<Connection> = new Set();

  constructor(options: UapiOptions) {
    this.#options = options;
  }

  take(socket: Socket): void {
    if (this.#present.size >= CONNECTIONS_MAX) this.#makeRoom();
    const { device, log, stallLimitMs = STALL_LIMIT_MS } = this.#options;
    const connection = new Connection(socket, device, { log, budget: this.#budget, stallLimitMs });
    this.#present.add(connection);
    socket.once('close', () => this.#present.delete(connection));
  }

  finish(): void {
    for (const connection of this.#present) connection.finish();
  }

  destroy(): void {
    for (const connection of this.#present) connection.destroy();
  }

  #makeRoom(): void {
    const [first, ...others] = this.#present;
    const longestSilent = others.reduce(
      (left, right) => (right.lastActiveMs < left.lastActiveMs ? right : left),
      first,
    );
    this.#present.delete(longestSilent);
    longestSilent.destroy();
    this.#options.log.warn('more UAPI connections than there may be: the one silent longest was ended', {
      connections: CONNECTIONS_MAX,
    });
  }
}
