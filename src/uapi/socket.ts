/**
 * The UAPI's listening socket: where it lies, how it is opened without two ever having one name, and how one that was
 * opened by somebody else is taken over.
 *
 * A new socket is bound under a name of its own and gets its real one only when it listens: `wg` deletes a socket that
 * refuses it. The real name is made by a hard link, which fails where there is one already, be it alive or a dead one's.
 */
import { chmodSync, linkSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { isAlive } from '../control/control-server.ts';
import { INTERFACE_NAME_RULE, isInterfaceName } from '../control/interface-name.ts';
import { SOCKET_PATH_LENGTH_MAX } from '../control/run-directory.ts';
import { asGigatunError, codeOf } from '../control/system-error.ts';
import { GigatunError } from '../errors.ts';

/** Where `wg` looks. */
export const UAPI_DIRECTORY = '/var/run/wireguard';

const DIRECTORY_MODE = 0o755;
const SOCKET_MODE = 0o700;

/**
 * Path of an interface's socket.
 *
 * @throws GigatunError CONFIG for a name that no interface may have, or a path that no socket may have.
 */
export function uapiPath(name: string, directory: string = UAPI_DIRECTORY): string {
  const path = join(directory, `${name}.sock`);
  if (!isInterfaceName(name))
    throw new GigatunError('CONFIG', `expected an interface name of ${INTERFACE_NAME_RULE}, got '${name}'`);
  if (Buffer.byteLength(path) <= SOCKET_PATH_LENGTH_MAX) return path;
  throw new GigatunError('CONFIG', `expected a socket path of at most ${SOCKET_PATH_LENGTH_MAX} bytes, got ${path}`);
}

/**
 * Opens a socket at a path and listens; a stale one there is replaced.
 *
 * @param take called with each connection.
 * @throws GigatunError BUSY when a live process has it, PERMISSION when the directory may not be written.
 */
export async function listenAt(path: string, take: (socket: Socket) => void): Promise<Server> {
  const birthPath = `${path}.${process.pid}`;
  const server = newServer(take);
  try {
    prepareDirectory(dirname(path));
    rmSync(birthPath, { force: true });
    await listenPrivately(server, birthPath);
    await nameOrReplace(birthPath, path).finally(() => rmSync(birthPath, { force: true }));
    return server;
  } catch (error) {
    server.close();
    throw asGigatunError(error, `open the UAPI socket ${path}`);
  }
}

/**
 * Listens on a descriptor that somebody has opened.
 *
 * @param fd of a listening UNIX stream socket; the server's from now on.
 * @throws GigatunError CONFIG when it is something else.
 */
export async function listenOn(fd: number, take: (socket: Socket) => void): Promise<Server> {
  const server = newServer(take);
  try {
    await listen(server, { fd });
  } catch (cause) {
    throw notListening(fd, cause);
  }
  // A UNIX socket that was opened elsewhere has no address here; one with an address could be reached from the network.
  if (server.address() === null || typeof server.address() === 'string') return server;
  server.close();
  throw notListening(fd, null);
}

function notListening(fd: number, cause: unknown): GigatunError {
  return new GigatunError('CONFIG', `expected a listening UNIX socket as descriptor ${fd}, got something else`, {
    cause,
  });
}

/** A client may send its requests, end its side, and still read: the answers are ours to end. */
function newServer(take: (socket: Socket) => void): Server {
  return createServer({ allowHalfOpen: true }, take);
}

/** Others may look into it, as with every WireGuard; the sockets themselves are their owner's alone. */
function prepareDirectory(directory: string): void {
  const made = mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  if (made !== undefined) chmodSync(directory, DIRECTORY_MODE);
}

/** The socket is bound within listen(). Worker threads may not set the umask; there the mode follows, before the name. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const umask = isMainThread ? process.umask(0o077) : null;
  const listening = listen(server, { path });
  if (umask !== null) process.umask(umask);
  await listening;
  chmodSync(path, SOCKET_MODE);
}

function listen(server: Server, options: ListenOptions & { fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function nameOrReplace(birthPath: string, path: string): Promise<void> {
  try {
    linkSync(birthPath, path);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    if (await isAlive(path)) {
      const what = `the UAPI socket ${path} is in use`;
      throw new GigatunError('BUSY', `${what}: a WireGuard of this name runs already; end it first`, { cause: error });
    }
    rmSync(path, { force: true });
    linkSync(birthPath, path);
  }
}
