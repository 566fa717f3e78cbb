/**
 * The control socket of one interface: takes requests one after the other on each connection and answers them in order.
 * Whoever may open the socket may ask everything, so only its owner may: the directory is closed and so is the socket.
 * A client that sends rubbish, too much, or nothing for a while loses its connection; a client that does not read waits alone.
 */
import { renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { GigatunError } from '../errors.ts';
import {
  type ControlAnswer,
  type ControlMethod,
  LineReader,
  parseRequest,
  REQUEST_LENGTH_MAX,
  requestIdOf,
} from './control-protocol.ts';
import type { Logger } from './log.ts';
import { SOCKET_PATH_LENGTH_MAX } from './run-directory.ts';
import { asGigatunError, codeOf } from './system-error.ts';

/** What answers each method: a value that JSON holds, or a thrown GigatunError. */
export type ControlHandlers = Readonly<Record<ControlMethod, () => unknown>>;

export interface ControlServer {
  /** Gives the open socket another path, in one step, replacing what is there; both in one directory. */
  moveTo(path: string): void;
  /** Removes the socket, finishes the answers under way and ends all connections, in this order. Twice is fine. */
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 64;
const IDLE_LIMIT_MS = 120_000;
/** How long close() waits for a client to take its last answer. */
const CLOSE_LIMIT_MS = 2_000;

/**
 * Opens the socket; one that a dead process left is replaced.
 *
 * @param path of the socket, in a directory that only its owner may enter.
 * @throws GigatunError BUSY when a live process has it, CONFIG when the path is too long.
 */
export async function openControlServer(path: string, handlers: ControlHandlers, log: Logger): Promise<ControlServer> {
  if (Buffer.byteLength(path) > SOCKET_PATH_LENGTH_MAX) {
    throw new GigatunError(
      'CONFIG',
      `expected a socket path of at most ${SOCKET_PATH_LENGTH_MAX} bytes, got ${path}; set a shorter GIGATUN_RUN_DIR`,
    );
  }
  const connections = new Set<Connection>();
  // A client may send its requests, end its side, and still read: the answers are ours to end.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const connection = new Connection(socket, handlers, log);
    connections.add(connection);
    socket.once('close', () => connections.delete(connection));
  });
  server.maxConnections = CONNECTIONS_MAX;
  await listenOrReplace(server, path);
  server.on('error', (error) => log.warn('control socket', { error: error.message }));
  let presentPath = path;
  let closed: Promise<void> | null = null;
  return {
    moveTo: (newPath) => {
      renameSync(presentPath, newPath);
      presentPath = newPath;
    },
    close: () => {
      closed ??= closeServer(server, presentPath, connections);
      return closed;
    },
  };
}

async function listenOrReplace(server: Server, path: string): Promise<void> {
  try {
    await listen(server, path);
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw asGigatunError(error, `open the control socket ${path}`);
    if (await isAlive(path)) {
      throw new GigatunError('BUSY', `a gigatun of this name runs or is starting already (${path})`, {
        cause: error,
      });
    }
    rmSync(path, { force: true });
    await listen(server, path).catch((again) => {
      throw asGigatunError(again, `open the control socket ${path}`);
    });
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket is bound within listen(). Worker threads may not set the umask; there the directory alone guards it.
    const umask = isMainThread ? process.umask(0o077) : null;
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
    if (umask !== null) process.umask(umask);
  });
}

/** Whether somebody accepts connections at a socket. */
export function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => resolve(codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'ENOENT'));
  });
}

/** Whoever sees its connection end finds no socket any more. */
async function closeServer(server: Server, path: string, connections: ReadonlySet<Connection>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  rmSync(path, { force: true });
  for (const connection of connections) connection.finish();
  const limit = setTimeout(() => {
    for (const connection of connections) connection.destroy();
  }, CLOSE_LIMIT_MS);
  await closed;
  clearTimeout(limit);
}

class Connection {
  readonly #socket: Socket;
  readonly #handlers: ControlHandlers;
  #answering = false;
  #finishing = false;

  constructor(socket: Socket, handlers: ControlHandlers, log: Logger) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.setTimeout(IDLE_LIMIT_MS, () => socket.destroy());
    socket.on('error', (error) => log.debug('control connection', { error: error.message }));
    this.#serve().catch((error: unknown) => {
      log.debug('control connection', { error: String(error) });
      socket.destroy();
    });
  }

  /** Ends the connection, after the answer under way. */
  finish(): void {
    this.#finishing = true;
    if (!this.#answering) this.#socket.end(() => this.#socket.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #serve(): Promise<void> {
    const reader = new LineReader(REQUEST_LENGTH_MAX);
    for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
      for (const line of reader.push(chunk)) {
        this.#answering = true;
        await this.#write(await answer(line, this.#handlers));
        this.#answering = false;
        if (this.#finishing) break;
      }
      if (this.#finishing) break;
    }
    this.#socket.end(() => this.#socket.destroy());
  }

  /** Resolves when the kernel has taken the answer, so that nothing piles up for a client that does not read. */
  #write(message: ControlAnswer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(`${JSON.stringify(message)}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }
}

async function answer(line: string, handlers: ControlHandlers): Promise<ControlAnswer> {
  try {
    const { id, method } = parseRequest(line);
    return { id, result: (await handlers[method]()) ?? null };
  } catch (error) {
    const { code, message } = asGigatunError(error, 'answer');
    return { id: requestIdOf(line), error: { code, message } };
  }
}
