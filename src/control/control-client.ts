/**
 * The other end of a control socket: finds the interface's socket, asks, waits a bounded time, and says clearly when
 * there is nobody, which interfaces do run, or what the answer was not.
 */
import { connect, type Socket } from 'node:net';
import { GigatunError } from '../errors.ts';
import {
  ANSWER_LENGTH_MAX,
  type ControlAnswer,
  type ControlMethod,
  LineReader,
  parseAnswer,
} from './control-protocol.ts';
import { isAlive } from './control-server.ts';
import { socketNames, socketPath, startingSocketPath } from './run-directory.ts';
import { asGigatunError, codeOf } from './system-error.ts';

const ANSWER_LIMIT_MS = 10_000;
/** What connecting to a socket that nobody serves fails with. */
const MISSING: readonly (string | null)[] = ['ENOENT', 'ECONNREFUSED', 'ENOTDIR'];

/** One connection; requests go one at a time. */
export class ControlClient {
  readonly #name: string;
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #nextId = 1;

  private constructor(name: string, socket: Socket) {
    this.#name = name;
    this.#socket = socket;
    this.#closed = new Promise((resolve) => socket.once('close', () => resolve()));
    // Each request listens for itself; between two, an error shows as a closed socket.
    socket.on('error', () => {});
  }

  /**
   * Connects to the gigatun of an interface.
   *
   * @throws GigatunError NOT_FOUND with the names that do run, or PERMISSION.
   */
  static async connect(directory: string, name: string): Promise<ControlClient> {
    return await ControlClient.#connectToFirst(directory, name, [socketPath(directory, name)]);
  }

  /** The same, also while that gigatun is still starting: then it answers `version` and `down`. */
  static async connectEarly(directory: string, name: string): Promise<ControlClient> {
    const ready = socketPath(directory, name);
    // Ready once more: it may have become so between the first look and the second.
    return await ControlClient.#connectToFirst(directory, name, [ready, startingSocketPath(directory, name), ready]);
  }

  static async #connectToFirst(directory: string, name: string, paths: readonly string[]): Promise<ControlClient> {
    let missing: unknown = null;
    for (const path of paths) {
      try {
        return new ControlClient(name, await openSocket(path));
      } catch (error) {
        if (!MISSING.includes(codeOf(error))) throw connectError(directory, name, error);
        missing = error;
      }
    }
    throw await missingError(directory, name, missing);
  }

  /**
   * Asks one thing and returns the result, whose shape the caller checks.
   *
   * @throws GigatunError with the other end's code, GONE when it ended meanwhile, PROTOCOL when it was silent too long.
   */
  async call(method: ControlMethod, limitMs: number = ANSWER_LIMIT_MS): Promise<unknown> {
    const id = this.#nextId++;
    const answered = this.#nextAnswer(method, limitMs);
    this.#socket.write(`${JSON.stringify({ id, method })}\n`);
    const answer = await answered;
    if (answer.id !== id) throw this.#protocolError(`expected the answer to request ${id}, got another`);
    if ('error' in answer) throw new GigatunError(answer.error.code, answer.error.message);
    return answer.result;
  }

  /** Resolves when the other end has closed the connection. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  close(): void {
    this.#socket.destroy();
  }

  #nextAnswer(method: ControlMethod, limitMs: number): Promise<ControlAnswer> {
    const reader = new LineReader(ANSWER_LENGTH_MAX);
    return new Promise<ControlAnswer>((resolve, reject) => {
      const onData = (chunk: Buffer): void => {
        try {
          const [line] = reader.push(chunk);
          if (line !== undefined) settle(() => resolve(parseAnswer(line)));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const onClose = (): void => settle(() => reject(this.#goneError(method)));
      const limit = setTimeout(() => {
        settle(() => reject(this.#protocolError(`no answer to ${method} within ${limitMs} ms`)));
      }, limitMs);
      const settle = (finish: () => void): void => {
        clearTimeout(limit);
        this.#socket.off('data', onData).off('close', onClose);
        finish();
      };
      this.#socket.on('data', onData).once('close', onClose);
      if (this.#socket.destroyed) onClose();
    });
  }

  #goneError(method: ControlMethod): GigatunError {
    return new GigatunError('GONE', `the gigatun of ${this.#name} ended before it answered ${method}`);
  }

  #protocolError(what: string): GigatunError {
    return new GigatunError('PROTOCOL', `the gigatun of ${this.#name}: ${what}`);
  }
}

/** Asks one thing over a connection of its own. */
export async function callControl(directory: string, name: string, method: ControlMethod): Promise<unknown> {
  const client = await ControlClient.connect(directory, name);
  try {
    return await client.call(method);
  } finally {
    client.close();
  }
}

/** Names of the interfaces whose gigatun is alive, sorted. */
export async function runningNames(directory: string): Promise<string[]> {
  const names = socketNames(directory);
  const alive = await Promise.all(names.map((name) => isAlive(socketPath(directory, name))));
  return names.filter((_, at) => alive[at]);
}

async function openSocket(path: string): Promise<Socket> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  socket.removeAllListeners('error');
  return socket;
}

function connectError(directory: string, name: string, cause: unknown): GigatunError {
  const code = codeOf(cause);
  if (code !== 'EACCES' && code !== 'EPERM') return asGigatunError(cause, `reach ${name}`);
  return new GigatunError('PERMISSION', `may not open the control socket of ${name} in ${directory}; try as root`, {
    cause,
  });
}

async function missingError(directory: string, name: string, cause: unknown): Promise<GigatunError> {
  const running = await runningNames(directory).catch(() => []);
  const others = running.length === 0 ? 'none runs' : `running ones are: ${running.join(', ')}`;
  return new GigatunError('NOT_FOUND', `no gigatun interface ${name}; ${others}`, { cause });
}
