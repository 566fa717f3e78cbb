/**
 * Which kinds of super-packet the TUN takes from this lane. One that the kernel refuses (EINVAL) where its packets pass one
 * by one is left out for a while, then ever longer, and tried again. Changed only between two batches, when no run is open,
 * so that a run is of one kind. The packets of a refused one are written after what else was written with it: later ones of
 * their flow may overtake them then, and not again before the kind is tried again.
 */
import { Backoff } from '../offloads/backoff.ts';
import { GSO } from '../packet/virtio-header.ts';

const RETRY_FIRST_MS = 60_000;
const RETRY_MOST_MS = 30 * 60_000;
/** A kind that goes well for so long after it was refused starts anew. */
const FORGET_MS = 10 * 60_000;

export const SUPER_KINDS = ['tcp4', 'tcp6', 'udp'] as const;
export type SuperKind = (typeof SUPER_KINDS)[number];

class Kind {
  readonly backoff: Backoff = new Backoff(RETRY_FIRST_MS, RETRY_MOST_MS);
  offUntilMs = 0;
  isRefused = false;
}

export class SuperKinds {
  /** Read per packet. */
  tcp4: boolean;
  tcp6: boolean;
  udp: boolean;
  /** Whether `settle` has anything to do. */
  isUnsettled = false;
  readonly #kinds: Readonly<Record<SuperKind, Kind>> = { tcp4: new Kind(), tcp6: new Kind(), udp: new Kind() };

  constructor(tcp: boolean, udp: boolean) {
    this.tcp4 = tcp;
    this.tcp6 = tcp;
    this.udp = udp;
  }

  /** The TUN refused a super-packet of this GSO type whose packets it took one by one. */
  refused(gsoType: number): void {
    this.#kinds[gsoType === GSO.UDP ? 'udp' : gsoType === GSO.TCP4 ? 'tcp4' : 'tcp6'].isRefused = true;
    this.isUnsettled = true;
  }

  /**
   * Between two batches, while `isUnsettled`: switches off what was refused, and on what was off for long enough. Tells of
   * each change: until when the kind is off, ms, or 0.
   */
  settle(nowMs: number, tell: (kind: SuperKind, offUntilMs: number) => void): void {
    this.isUnsettled = false;
    for (const name of SUPER_KINDS) {
      const kind = this.#kinds[name];
      if (kind.isRefused) this.#switchOff(name, kind, nowMs, tell);
      else if (kind.offUntilMs !== 0 && !this[name] && nowMs >= kind.offUntilMs) this.#switchOn(name, tell);
      this.isUnsettled ||= !this[name] && kind.offUntilMs !== 0;
    }
  }

  #switchOff(name: SuperKind, kind: Kind, nowMs: number, tell: (kind: SuperKind, offUntilMs: number) => void): void {
    kind.isRefused = false;
    if (kind.offUntilMs !== 0 && nowMs >= kind.offUntilMs + FORGET_MS) kind.backoff.reset();
    kind.offUntilMs = nowMs + kind.backoff.take();
    this[name] = false;
    tell(name, kind.offUntilMs);
  }

  #switchOn(name: SuperKind, tell: (kind: SuperKind, offUntilMs: number) => void): void {
    this[name] = true;
    tell(name, 0);
  }
}
