/**
 * The outer sockets of a device while it runs: each lane has a number for its IPv4 socket and one for its IPv6 socket, which
 * stay the same for as long as the device lives. What is behind a number changes: other sockets on another port, or, while
 * there is none, a stand-in that neither sends nor receives. So lanes need not be told, only woken: a wait that is under way
 * still looks at what was there before, and keeps it open.
 */
import { closeSync } from 'node:fs';
import { GigatunError } from './errors.ts';
import { openUdp } from './native/addon.ts';
import type { UdpOptions } from './native/types.ts';
import { closeLaneSockets, gsoDatagramsMax, openSockets, type Sockets } from './sockets.ts';

/** How long a port that was just given up is waited for, ms: lanes may be in a wait on its sockets. */
const RELEASE_MS = 200;
const RELEASE_STEP_MS = 1;

type Family = 4 | 6;
const FAMILIES: readonly Family[] = [4, 6];

export interface DeviceSocketsOptions {
  readonly lanes: number;
  /** 0 lets the kernel choose. */
  readonly port: number;
  readonly fwmark: number;
  /** Whether datagrams may come in groups. */
  readonly gro: boolean;
  /** false: there are none until `open`. */
  readonly areOpen: boolean;
  /** Gets lanes out of their waits, at once. */
  readonly wake: () => void;
}

/** One lane's number for one family; -1 where the kernel lacks it. */
interface Place {
  readonly fd: number;
  /** false: a stand-in is there, as the device is shut or the kernel no longer has the family. */
  isOpen: boolean;
  /** Whether GRO is wanted, and whether it is on. */
  wantsGro: boolean;
  hasGro: boolean;
}

type LanePlaces = Readonly<Record<Family, Place>>;

export class DeviceSockets {
  /** Most datagrams in one group. */
  readonly gsoDatagramsMax: number;
  readonly #options: DeviceSocketsOptions;
  readonly #lanes: readonly LanePlaces[];
  #areOpen: boolean;
  #port: number;
  #fwmark: number;
  #releasedPort = 0;

  /** Throws GigatunError, BUSY when the port is taken, and leaves nothing open. */
  constructor(options: DeviceSocketsOptions) {
    const { lanes, port, fwmark, gro, areOpen } = options;
    this.#options = options;
    this.#areOpen = areOpen;
    this.#fwmark = fwmark;
    // What is only looked at closes again.
    const sockets = openSockets(areOpen ? lanes : 1, areOpen ? port : 0, areOpen ? fwmark : 0, gro);
    this.#port = areOpen ? sockets.port : port;
    this.gsoDatagramsMax = gsoDatagramsMax(sockets);
    if (!areOpen) sockets.lanes.forEach(closeLaneSockets);
    this.#lanes = areOpen ? sockets.lanes.map(placesOf) : standIns(lanes, gro);
  }

  /** Port of the sockets; while there are none, the one that they will get, 0 for any. */
  get port(): number {
    return this.#port;
  }

  get fwmark(): number {
    return this.#fwmark;
  }

  get areOpen(): boolean {
    return this.#areOpen;
  }

  get hasGro(): boolean {
    const [first] = this.#lanes;
    return first[4].fd >= 0 ? first[4].hasGro : first[6].hasGro;
  }

  /** A lane's numbers. */
  ofLane(lane: number): { readonly udp4Fd: number; readonly udp6Fd: number } {
    const places = this.#lanes[lane];
    return { udp4Fd: places[4].fd, udp6Fd: places[6].fd };
  }

  /** Opens sockets where there were none. Throws GigatunError, BUSY when the port is taken; then there are none still. */
  open(): void {
    if (!this.#areOpen) this.#replace(this.#openNew(this.#port, this.#fwmark), this.#fwmark);
  }

  /** Closes the sockets; the port stays what it was. */
  shut(): void {
    if (!this.#areOpen) return;
    for (const places of this.#lanes)
      for (const family of FAMILIES) if (places[family].fd >= 0) vacate(family, places[family]);
    this.#areOpen = false;
    this.#releasedPort = this.#port;
    this.#options.wake();
  }

  /**
   * Changes port and mark of the sockets, of those that are open as of those to come. Says whether anything has changed for open ones.
   *
   * @param opens whether sockets are opened if there are none
   * @throws GigatunError BUSY when the port is taken, PERMISSION when the mark may not be set; then nothing has changed
   */
  change(listenPort: number | undefined, mark: number | undefined, opens: boolean): boolean {
    const port = listenPort ?? this.#port;
    const fwmark = mark ?? this.#fwmark;
    const isAsked = listenPort !== undefined || mark !== undefined;
    const needsNew = this.#areOpen ? listenPort === 0 || port !== this.#port : opens && isAsked;
    const needsMark = this.#areOpen && fwmark !== this.#fwmark;
    if (needsNew) this.#replace(this.#openNew(port, fwmark), fwmark);
    else if (needsMark) this.#setMark(fwmark);
    else this.#port = port;
    this.#fwmark = fwmark;
    return needsNew || needsMark;
  }

  /** Switches UDP GRO of a lane's socket; one that does not let it stays as it is. */
  setGro(lane: number, family: Family, isOn: boolean): void {
    const place = this.#lanes[lane][family];
    place.wantsGro = isOn;
    if (place.isOpen) place.hasGro = openUdp(this.#described(family, place)).gro;
  }

  /** Closes what one lane uses; once only, for numbers are given out again. */
  close(lane: number): void {
    for (const family of FAMILIES) if (this.#lanes[lane][family].fd >= 0) closeSync(this.#lanes[lane][family].fd);
  }

  #openNew(port: number, fwmark: number): Sockets {
    const { lanes, gro, wake } = this.#options;
    const untilMs = performance.now() + (port !== 0 && port === this.#releasedPort ? RELEASE_MS : 0);
    for (;;) {
      try {
        return openSockets(lanes, port, fwmark, gro);
      } catch (error) {
        const isBusy = error instanceof GigatunError && error.code === 'BUSY';
        if (!isBusy || performance.now() >= untilMs) throw error;
        wake();
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RELEASE_STEP_MS);
      }
    }
  }

  /** Puts opened sockets, which have this mark, in the places of those before. */
  #replace(sockets: Sockets, fwmark: number): void {
    this.#releasedPort = this.#port;
    for (const [lane, opened] of sockets.lanes.entries()) {
      for (const family of FAMILIES) {
        const place = this.#lanes[lane][family];
        const socket = family === 4 ? opened.ipv4 : opened.ipv6;
        if (place.fd < 0) {
          if (socket !== null) closeSync(socket.fd);
        } else if (socket === null) vacate(family, place);
        else {
          const described = { ...this.#described(family, place), fwmark };
          place.hasGro = openUdp({ ...described, fd: socket.fd, replaces: place.fd }).gro;
          place.isOpen = true;
        }
      }
    }
    this.#port = sockets.port;
    this.#areOpen = true;
    this.#options.wake();
  }

  /** On all sockets or on none. */
  #setMark(fwmark: number): void {
    const places = this.#lanes.flatMap((lane) => FAMILIES.map((family) => [family, lane[family]] as const));
    const open = places.filter(([, { isOpen }]) => isOpen);
    try {
      for (const [family, place] of open) openUdp({ ...this.#described(family, place), fwmark });
    } catch (error) {
      for (const [family, place] of open) openUdp(this.#described(family, place));
      throw error;
    }
  }

  /** The socket in a place, as it is now. */
  #described(family: Family, { fd, wantsGro }: Place): UdpOptions {
    return { ...UNUSED, family, port: this.#port, fwmark: this.#fwmark, gro: wantsGro, fd };
  }
}

/** Puts a stand-in in a place, so that nothing is left on the old port. */
function vacate(family: Family, place: Place): void {
  openUdp(standIn(family, place.fd));
  place.isOpen = false;
}

/** What does not count for a socket that is open already. */
const UNUSED = { port: 0, reusePort: false, joinPort: false, fwmark: 0, bufferLength: 0, gro: false } as const;

function standIn(family: Family, replaces: number): UdpOptions {
  return { ...UNUSED, family, standIn: true, ...(replaces < 0 ? {} : { replaces }) };
}

function standIns(lanes: number, wantsGro: boolean): LanePlaces[] {
  const place = (family: Family): Place => ({
    fd: openUdp(standIn(family, -1)).fd,
    isOpen: false,
    wantsGro,
    hasGro: wantsGro,
  });
  return Array.from({ length: lanes }, () => ({ 4: place(4), 6: place(6) }));
}

function placesOf({ ipv4, ipv6 }: Sockets['lanes'][number]): LanePlaces {
  const place = (socket: typeof ipv4): Place => {
    const gro = socket?.gro ?? false;
    return { fd: socket?.fd ?? -1, isOpen: socket !== null, wantsGro: gro, hasGro: gro };
  };
  return { 4: place(ipv4), 6: place(ipv6) };
}
