/**
 * What a device holds open in the kernel: for each lane one queue of the TUN interface and its outer sockets. They are
 * opened together, or not at all, and closed lane by lane; with the last queue the interface disappears.
 */
import { closeSync } from 'node:fs';
import { DeviceSockets } from './device-sockets.ts';
import type { LaneLimits } from './lane-context.ts';
import { linkInfo, openTun } from './native/addon.ts';
import { TUN_OFFLOAD } from './native/layout.ts';
import type { TunOpened } from './native/types.ts';
import type { OffloadName } from './offloads/offload-name.ts';

const { CSUM, TSO4, TSO6, USO4, USO6 } = TUN_OFFLOAD;

export interface DescriptorOptions {
  /** Interface name; may hold %d. Or the first queue, which is open already. */
  readonly tun: string | TunOpened;
  readonly lanes: number;
  /** 0 lets the kernel choose. */
  readonly listenPort: number;
  readonly fwmark: number;
  readonly offloads: readonly OffloadName[];
  /** false: sockets are opened later. */
  readonly socketsAreOpen: boolean;
  /** Gets lanes out of their waits, at once. */
  readonly wake: () => void;
}

export class DeviceDescriptors {
  /** The interface's name as the kernel has it. */
  readonly name: string;
  readonly sockets: DeviceSockets;
  /** What lanes may do with the offloads that were opened. */
  readonly limits: Omit<LaneLimits, 'mtu'>;
  readonly #queues: readonly TunOpened[];

  /** Throws GigatunError and leaves nothing open. */
  constructor({ tun, lanes, listenPort, offloads, socketsAreOpen: areOpen, ...rest }: DescriptorOptions) {
    this.#queues = openQueues(tun, lanes, tunOffloads(offloads));
    try {
      const gro = offloads.includes('udp-gro');
      this.sockets = new DeviceSockets({ lanes, port: listenPort, gro, areOpen, ...rest });
    } catch (error) {
      closeQueues(this.#queues);
      throw error;
    }
    this.name = this.#queues[0].name;
    const accepted = this.#queues[0].offloads;
    this.limits = {
      gsoDatagramsMax: offloads.includes('udp-gso') ? this.sockets.gsoDatagramsMax : 1,
      tcpSuperPackets: (accepted & TSO4) !== 0 && (accepted & TSO6) !== 0,
      udpSuperPackets: (accepted & USO4) !== 0 && (accepted & USO6) !== 0,
    };
  }

  /** A lane's descriptors, -1 for a family that this machine lacks. They stay this object's to close. */
  ofLane(lane: number): { readonly tunFd: number; readonly udp4Fd: number; readonly udp6Fd: number } {
    return { tunFd: this.#queues[lane].fd, ...this.sockets.ofLane(lane) };
  }

  /** Names of the offloads in use; `gso`: whether datagrams are still sent in groups. */
  offloads(gso: boolean): string[] {
    const accepted = this.#queues[0].offloads;
    const ofTun = Object.entries(TUN_OFFLOAD).filter(([, bit]) => (accepted & bit) !== 0);
    const ofUdp = { gso: gso && this.limits.gsoDatagramsMax > 1, gro: this.sockets.hasGro };
    return [
      ...ofTun.map(([name]) => name.toLowerCase()),
      ...Object.entries(ofUdp).flatMap(([name, on]) => (on ? [name] : [])),
    ];
  }

  /** Closes what one lane uses; once only, for numbers are given out again. */
  close(lane: number): void {
    closeSync(this.#queues[lane].fd);
    this.sockets.close(lane);
  }
}

/** The first queue, from a descriptor that was opened elsewhere. Throws GigatunError CONFIG for one that is no such TUN. */
export function adoptTun(fd: number, offloads: readonly OffloadName[]): TunOpened {
  return openTun({ name: '', multiQueue: false, offloads: tunOffloads(offloads), fd });
}

/** How many lanes an adopted TUN can have: its further queues are opened by its name, which must mean the same interface here. */
export function lanesOfAdopted({ fd, name, multiQueue }: TunOpened, wanted: number): number {
  if (wanted === 1 || !multiQueue) return 1;
  try {
    return linkInfo(-1, name, -1).index === linkInfo(fd, name, -1).index ? wanted : 1;
  } catch {
    return 1;
  }
}

/** Offload bits to ask the TUN for. Without super-packets the kernel completes checksums too: each packet is read as it is. */
function tunOffloads(offloads: readonly OffloadName[]): number {
  const tcp = offloads.includes('tun-tso') ? CSUM | TSO4 | TSO6 : 0;
  const udp = offloads.includes('tun-uso') ? CSUM | USO4 | USO6 : 0;
  return tcp | udp;
}

function openQueues(tun: string | TunOpened, lanes: number, offloads: number): TunOpened[] {
  const queues = typeof tun === 'string' ? [openTun({ name: tun, multiQueue: lanes > 1, offloads })] : [tun];
  try {
    for (let queue = 1; queue < lanes; queue += 1)
      queues.push(openTun({ name: queues[0].name, multiQueue: true, offloads }));
  } catch (error) {
    closeQueues(queues);
    throw error;
  }
  return queues;
}

function closeQueues(queues: readonly TunOpened[]): void {
  for (const { fd } of queues) closeSync(fd);
}
