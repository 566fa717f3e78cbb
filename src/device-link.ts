/**
 * The interface as a device follows it: whether it is up, and its MTU, on which padding depends. Lane 0 says when links
 * change; besides, the device looks once a second, and often when it has just changed and is down, for an interface that was moved to
 * another network namespace is out of the lane's hearing.
 *
 * An interface that cannot be looked at, as it is elsewhere and this process may not go there, counts as up: what comes out
 * of its queue is sent.
 */
import type { Logger } from './control/log.ts';
import { codeOf } from './control/system-error.ts';
import { linkInfo } from './native/addon.ts';

/** What fails for want of something that has nothing to do with the interface. */
const SCARCE: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** How often, and how long, an interface that is down is looked at when links have changed. */
const OFTEN_MS = 50;
const OFTEN_FOR_MS = 10_000;

export interface DeviceLinkOptions {
  readonly tunFd: number;
  readonly name: string;
  /** Until the interface is up, its MTU is not the one that it will have: so long this one counts. */
  readonly mtu: number;
  readonly log: Logger;
  readonly mtuChanged: (mtu: number) => void;
  readonly wentUp: () => void;
  readonly wentDown: () => void;
}

export class DeviceLink {
  readonly #options: DeviceLinkOptions;
  #mtu: number;
  #isUp = false;
  #timer: NodeJS.Timeout | null = null;
  #oftenUntilMs = 0;

  constructor(options: DeviceLinkOptions) {
    this.#options = options;
    this.#mtu = options.mtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Looks at the interface and says what has changed. */
  look(): void {
    const { up, mtu } = this.#read();
    if (mtu !== this.#mtu && (up || this.#isUp)) {
      this.#mtu = mtu;
      this.#options.mtuChanged(mtu);
    }
    if (up === this.#isUp) return;
    this.#isUp = up;
    if (up) this.#options.wentUp();
    else this.#options.wentDown();
  }

  /**
   * Links have changed, as they do when this one moves to another namespace: there nobody hears that it goes up, so that it is
   * looked at often until it has, for ten seconds at most.
   */
  heard(): void {
    this.look();
    if (this.#isUp) return;
    this.#oftenUntilMs = performance.now() + OFTEN_FOR_MS;
    this.#timer ??= setInterval(() => this.#lookAgain(), OFTEN_MS);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #lookAgain(): void {
    this.look();
    if (this.#isUp || performance.now() > this.#oftenUntilMs) this.close();
  }

  #read(): { readonly up: boolean; readonly mtu: number } {
    const { tunFd, name, log } = this.#options;
    try {
      return linkInfo(tunFd, name, -1);
    } catch (error) {
      log.debug('the interface could not be read', { error: String(error) });
      // Want of descriptors or memory says nothing. Else it may be on its way out, which the lanes notice, or in another namespace.
      return { up: SCARCE.has(codeOf(error) ?? '') ? this.#isUp : true, mtu: this.#mtu };
    }
  }
}
