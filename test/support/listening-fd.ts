/** Node.js tells the number of a listening socket's descriptor by its handle alone. */
import type { Server } from 'node:net';

/** @throws TypeError if the server does not listen */
export function listeningFd(server: Server): number {
  const handle: unknown = Reflect.get(server, '_handle');
  if (typeof handle === 'object' && handle !== null && 'fd' in handle && typeof handle.fd === 'number')
    return handle.fd;
  throw new TypeError('expected a server that listens');
}
