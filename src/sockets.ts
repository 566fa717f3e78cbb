/**
 * The outer sockets: for each lane one IPv4 and one IPv6 UDP socket, all on one port. A machine without IPv6 gets IPv4
 * alone. With a random port the IPv6 port may be taken by somebody else; then another port is tried.
 *
 * Lanes share the port (SO_REUSEPORT). The first socket of each family must find it free, for otherwise a second tunnel
 * of the same user would be let in, and get part of the first one's datagrams.
 */
import { closeSync } from 'node:fs';
import { GigatunError } from './errors.ts';
import { openUdp } from './native/addon.ts';
import type { UdpOpened } from './native/types.ts';

/** Socket buffers, bytes each way: what WireGuard's userspace implementations ask for; enough for 5 ms at 10 Gbit/s. */
export const SOCKET_BUFFER_BYTES: number = 7 << 20;
const PORT_TRIES = 16;
const EADDRINUSE = 98;
const EAFNOSUPPORT = 97;

export interface LaneSockets {
  readonly ipv4: UdpOpened | null;
  readonly ipv6: UdpOpened | null;
}

export interface Sockets {
  readonly port: number;
  readonly lanes: readonly LaneSockets[];
}

/** Opens all sockets, with `gro` so that datagrams may come in groups; throws GigatunError, BUSY when the port is taken, and leaves none open. */
export function openSockets(lanes: number, port: number, fwmark: number, gro = true): Sockets {
  for (let tries = 1; ; tries += 1) {
    try {
      return tryOpenSockets(lanes, port, fwmark, gro);
    } catch (error) {
      const taken = error instanceof GigatunError && error.errno === EADDRINUSE;
      if (!taken || port !== 0 || tries === PORT_TRIES) throw error;
    }
  }
}

export function closeLaneSockets({ ipv4, ipv6 }: LaneSockets): void {
  if (ipv4 !== null) closeSync(ipv4.fd);
  if (ipv6 !== null) closeSync(ipv6.fd);
}

/** Most datagrams in one group: what the weaker of the two families' sockets takes. */
export function gsoDatagramsMax({ lanes }: Sockets): number {
  const sockets = lanes.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  return Math.min(...sockets.map((socket) => socket?.gsoDatagramsMax ?? Number.POSITIVE_INFINITY));
}

function tryOpenSockets(lanes: number, wantedPort: number, fwmark: number, gro: boolean): Sockets {
  const opened: UdpOpened[] = [];
  let port = wantedPort;
  const open = (family: 4 | 6, lane: number): UdpOpened | null => {
    const sharing = { reusePort: lanes > 1, joinPort: lane > 0 };
    const socket = openFamily({ family, port, ...sharing, fwmark, gro, bufferLength: SOCKET_BUFFER_BYTES });
    if (socket === null) return null;
    opened.push(socket);
    port = socket.port;
    return socket;
  };
  try {
    const all = Array.from({ length: lanes }, (_, lane): LaneSockets => ({ ipv4: open(4, lane), ipv6: open(6, lane) }));
    if (opened.length === 0)
      throw new GigatunError(
        'UNSUPPORTED',
        'expected IPv4 or IPv6 in this kernel, found neither: no UDP socket can be opened',
      );
    return { port, lanes: all };
  } catch (error) {
    for (const socket of opened) closeSync(socket.fd);
    throw error;
  }
}

function openFamily(options: Parameters<typeof openUdp>[0]): UdpOpened | null {
  try {
    return openUdp(options);
  } catch (error) {
    if (error instanceof GigatunError && error.errno === EAFNOSUPPORT) return null;
    throw error;
  }
}
