/**
 * Run as root: opens a TUN and a UAPI socket for an interface, and runs a program with both as descriptors 3 and 4, as a
 * container manager or a parent with rights would. Arguments: the interface's name, the path of the socket, and the program.
 * It waits without an event loop, so that connections to the socket are all the program's.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { openTun } from '../../src/native/addon.ts';
import { listeningFd } from './listening-fd.ts';

const [name = '', socket = '', program = '', ...args] = process.argv.slice(2);
const { fd } = openTun({ name, multiQueue: false, offloads: 0 });
mkdirSync(dirname(socket), { recursive: true, mode: 0o755 });
const server = createServer();
server.listen(socket, () => {
  const uapiFd = listeningFd(server);
  const env = { ...process.env, WG_TUN_FD: '3', WG_UAPI_FD: '4' };
  const { status } = spawnSync(program, args, { env, stdio: ['ignore', 'inherit', 'inherit', fd, uapiFd] });
  process.exit(status ?? 1);
});
