/**
 * Copies: which datagrams of a peer are sent more than once without being asked for, and how often. Copies over other paths go
 * out at once, and so do those over the same path, unless a delay is set that outlasts a burst of losses: those wait in a
 * queue of groups and are taken from the ring when they are due.
 */
import { type LanePaths, NO_PATH } from '../path/path-types.ts';
import { ByteBudget } from './byte-budget.ts';
import type { PathChoice } from './path-choice.ts';
import { type CopySettings, NO_HISTORY, SMALL_BYTES } from './settings.ts';

/** Copies that adapt are sent from this loss on, and no more below that one: shares of first sendings. */
const LOSS_ON = 0.002;
const LOSS_OFF = 0.0005;
/** What copies may save up, bytes: a few full groups. */
const BUDGET_BYTES_MAX = 262_144;

export class Copies {
  #settings: CopySettings = NO_HISTORY.copies;
  readonly #budget: ByteBudget = new ByteBudget(1, BUDGET_BYTES_MAX);
  readonly #dscps: Uint8Array = new Uint8Array(64);
  #isLossy = false;
  #pathCopies = 0;
  /** Sendings over and above the first: at once, and later. */
  atOnce = 0;
  later = 0;
  /** Whether anything is copied now, and whether keepalives are then. */
  isOn = false;
  takesKeepalives = true;
  #takesAll = true;
  #takesSmall = false;

  setSettings(settings: CopySettings): void {
    const { only, budget } = settings;
    this.#settings = settings;
    this.#budget.share = budget;
    // Copies over paths alone, without a number of copies, are of everything.
    const filter = settings.count > 1 ? only : null;
    this.#takesAll = filter === null;
    this.#takesSmall = filter?.small ?? false;
    this.takesKeepalives = filter?.handshake ?? true;
    this.#dscps.fill(0);
    for (const dscp of filter?.dscps ?? []) this.#dscps[dscp & 63] = 1;
    this.#count();
  }

  setPaths({ loss }: LanePaths, choice: PathChoice): void {
    if (loss > LOSS_ON) this.#isLossy = true;
    else if (loss < LOSS_OFF) this.#isLossy = false;
    this.#pathCopies = choice.copiesCount;
    this.#count();
  }

  get delayMs(): number {
    return this.#settings.delayMs;
  }

  /** Whether any inner packet with this DSCP (0 to 63; -1: no IP packet) is copied. */
  takesDscp(dscp: number): boolean {
    return this.#takesAll || (dscp >= 0 && this.#dscps[dscp] === 1);
  }

  /** Whether datagrams of this length are copied whatever they hold. */
  takesLength(length: number): boolean {
    return this.#takesSmall && length <= SMALL_BYTES;
  }

  earn(bytes: number): void {
    this.#budget.earn(bytes);
  }

  /** Whether the budget has so many bytes; they are spent then. Copies over paths that nobody counts have none. */
  spend(bytes: number): boolean {
    return this.#settings.count === 1 || this.#budget.spend(bytes);
  }

  #count(): void {
    const { count, delayMs, when } = this.#settings;
    const isOn = count === 1 || when === 'always' || this.#isLossy;
    const samePath = Math.max(0, count - 1 - this.#pathCopies);
    this.atOnce = isOn ? this.#pathCopies + (delayMs === 0 ? samePath : 0) : 0;
    this.later = isOn && delayMs > 0 ? samePath : 0;
    this.isOn = this.atOnce + this.later > 0;
  }
}

/** Path of the copy that is sent at once as number `round`, from 0 on, of what was first sent over `path`. */
export function copyPath({ copies, copiesCount, usableFirst }: PathChoice, round: number, path: number): number {
  if (round >= copiesCount) return path;
  return copies[round] === path && usableFirst !== NO_PATH ? usableFirst : copies[round];
}
