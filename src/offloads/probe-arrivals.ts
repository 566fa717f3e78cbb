/** The answering side of probes: which datagrams of a peer's last rounds arrived. Bounded: two rounds, 64 bytes each. */
import type { ControlMessage } from '../protocol/control-message.ts';

const ROUNDS_KEPT = 2;

interface Round {
  readonly round: number;
  readonly total: number;
  readonly bits: Uint8Array;
  left: number;
}

export class ProbeArrivals {
  #rounds: Round[] = [];

  /** A probe arrived. Returns the answer when it was the last one of its round. */
  take({ round, number, total }: Extract<ControlMessage, { kind: 'probe' }>): ControlMessage | null {
    const known = this.#rounds.find((kept) => kept.round === round) ?? this.#open(round, total);
    const bit = 1 << (number & 7);
    if (known.total !== total || ((known.bits[number >>> 3] ?? 0) & bit) !== 0) return null;
    known.bits[number >>> 3] |= bit;
    known.left -= 1;
    return known.left === 0 ? answerOf(known) : null;
  }

  /** The peer asks for a round; of one that is not known nothing arrived. */
  ask(round: number): ControlMessage {
    const known = this.#rounds.find((kept) => kept.round === round);
    return known === undefined ? { kind: 'arrived', round, bits: new Uint8Array(1) } : answerOf(known);
  }

  #open(round: number, total: number): Round {
    const opened = { round, total, bits: new Uint8Array(Math.ceil(total / 8)), left: total };
    this.#rounds = [opened, ...this.#rounds].slice(0, ROUNDS_KEPT);
    return opened;
  }
}

function answerOf({ round, bits }: Round): ControlMessage {
  return { kind: 'arrived', round, bits };
}
