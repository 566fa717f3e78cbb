/**
 * How many parities a block gets: as configuration says or, in mode auto, none where repeats come in time or next to nothing is
 * lost, and else as many as leave no more than RESIDUAL_MAX of the datagrams missing, if losses are independent. Bursts are
 * worse than that.
 */
import type { LanePaths } from '../../path/path-types.ts';
import { BLOCK_DATAGRAMS_MAX, BLOCK_PARITIES_MAX } from '../../protocol/parity-message.ts';
import type { HistorySettings } from '../settings.ts';

/** Share of datagrams that may stay missing. */
export const RESIDUAL_MAX = 1e-4;
/** Loss from which on parity is made, and below which it is made no longer. */
export const LOSS_TO_BEGIN = 0.002;
export const LOSS_TO_END = 0.0005;
/** The plan is made anew where the loss differs by this share. */
const LOSS_STEP = 0.1;

export class ParityPlan {
  #settings: HistorySettings | null = null;
  #paths: LanePaths | null = null;
  #plannedLoss = 0;
  /** Parities of a block of so many datagrams; all 0: no parity. */
  readonly #parities: Uint8Array = new Uint8Array(BLOCK_DATAGRAMS_MAX + 1);

  /** Takes over what is known now; cheap where nothing has changed. */
  update(settings: HistorySettings, paths: LanePaths): void {
    if (settings === this.#settings && paths === this.#paths) return;
    const isNew = settings !== this.#settings;
    this.#settings = settings;
    this.#paths = paths;
    const { mode } = settings.fec;
    if (mode === 'off' || !paths.knows.parity) this.#parities.fill(0);
    else if (mode === 'on') this.#share(settings);
    else this.#plan(settings, paths, isNew);
  }

  /** Whether there is any parity. */
  get isOn(): boolean {
    return this.#parities[1] > 0;
  }

  /** Parities of a block of `datagrams`, 1 to BLOCK_DATAGRAMS_MAX. */
  parities(datagrams: number): number {
    return this.#parities[datagrams];
  }

  /** A block that is not full gets its share, and one at least. */
  #share({ fec }: HistorySettings): void {
    for (let datagrams = 1; datagrams <= BLOCK_DATAGRAMS_MAX; datagrams += 1)
      this.#parities[datagrams] = Math.min(BLOCK_PARITIES_MAX, Math.ceil((fec.parity * datagrams) / fec.data));
  }

  #plan(settings: HistorySettings, { knows, rttMs, loss }: LanePaths, isNew: boolean): void {
    const isRepeated = settings.retransmitMs > 0 && knows.gaps && rttMs <= settings.retransmitMs / 2;
    const isLossy = loss >= (this.isOn ? LOSS_TO_END : LOSS_TO_BEGIN);
    if (isRepeated || !isLossy) {
      this.#parities.fill(0);
      return;
    }
    if (!isNew && this.isOn && Math.abs(loss - this.#plannedLoss) <= this.#plannedLoss * LOSS_STEP) return;
    this.#plannedLoss = loss;
    for (let datagrams = 1; datagrams <= BLOCK_DATAGRAMS_MAX; datagrams += 1)
      this.#parities[datagrams] = paritiesFor(datagrams, loss);
  }
}

/** Fewest parities that leave no more than RESIDUAL_MAX of a block's datagrams missing; at most BLOCK_PARITIES_MAX. */
export function paritiesFor(datagrams: number, loss: number): number {
  let parities = 1;
  while (parities < BLOCK_PARITIES_MAX && residual(datagrams, parities, loss) > RESIDUAL_MAX) parities += 1;
  return parities;
}

/** Share of datagrams that stay missing where each message is lost with probability `loss`, whatever becomes of the others. */
export function residual(datagrams: number, parities: number, loss: number): number {
  const messages = datagrams + parities;
  let probability = (1 - loss) ** messages;
  let sum = 0;
  for (let lost = 1; lost <= messages; lost += 1) {
    probability *= ((messages - lost + 1) / lost) * (loss / (1 - loss));
    if (lost > parities) sum += (probability * lost) / messages;
  }
  return loss >= 1 ? 1 : sum;
}
