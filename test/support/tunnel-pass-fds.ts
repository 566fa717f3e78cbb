/**
 * A program that opens what a daemon needs and hands it over, as supervisors and unprivileged users do it:
 *
 *     node tunnel-pass-fds.js TUN|- SOCKET-PATH|- COMMAND…
 *
 * COMMAND gets the TUN and the listening socket (`-` for none) as descriptors from 3 on, named by WG_TUN_FD and WG_UAPI_FD.
 * When it has ended, its status is printed.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { openTun } from '../../src/native/addon.ts';
import { TUN_OFFLOAD } from '../../src/native/layout.ts';
import { listeningFd } from './listening-fd.ts';

const [tun = '-', path = '-', program = '', ...args] = process.argv.slice(2);
const { CSUM, TSO4, TSO6 } = TUN_OFFLOAD;
const tunFd = tun === '-' ? null : openTun({ name: tun, multiQueue: false, offloads: CSUM | TSO4 | TSO6 }).fd;
const uapiFd = path === '-' ? null : await listenAt(path);
const fds = [tunFd, uapiFd].filter((fd) => fd !== null);
const env = {
  ...process.env,
  ...(tunFd === null ? {} : { WG_TUN_FD: '3' }),
  ...(uapiFd === null ? {} : { WG_UAPI_FD: `${2 + fds.length}` }),
};
const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit', ...fds] });
child.once('exit', (code) => {
  writeSync(1, `ended with ${code}\n`);
  // Not by itself: it would remove the file of the socket.
  process.kill(process.pid, 'SIGKILL');
});

async function listenAt(socketPath: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socketPath, () => resolve()));
  return listeningFd(server);
}
