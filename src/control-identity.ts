/** What lanes are told of who we are: by what they know messages to us, and the cookies of those who come back with one. */
import type { ControlLaneOptions } from './control-lane-types.ts';
import type { DeviceMachine } from './protocol/device-machine.ts';

export class ControlIdentity {
  readonly #machine: DeviceMachine;
  readonly #post: ControlLaneOptions['post'];
  /** Birth of the cookie secret that lanes have, ms. */
  #cookieSecretBornMs = Number.NEGATIVE_INFINITY;

  constructor(machine: DeviceMachine, post: ControlLaneOptions['post']) {
    this.#machine = machine;
    this.#post = post;
  }

  /** To be said when lanes run, and whenever our static key changes. */
  tell(): void {
    this.#cookieSecretBornMs = Number.NEGATIVE_INFINITY;
    this.#post({ type: 'identity', mac1Key: this.#machine.mac1Key }, 'all');
  }

  /** A cookie was given away: lanes must know the one who comes back with it. */
  tellCookieSecret(): void {
    const secret = this.#machine.cookieSecret;
    if (secret === null || secret.bornMs === this.#cookieSecretBornMs) return;
    this.#cookieSecretBornMs = secret.bornMs;
    this.#post({ type: 'cookieSecret', ...secret }, 'all');
    secret.key.fill(0);
  }
}
