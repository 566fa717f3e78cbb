/** Seeded random numbers and mutations of bytes and text: from one seed always the same inputs. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 1;
  }

  /** 32 bits (xorshift, Marsaglia 2003). */
  word(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    return this.word() % end;
  }

  /** True in one of so many cases. */
  oneIn(cases: number): boolean {
    return this.below(cases) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.word() & 255);
  }
}

/** Bytes that parsers are apt to take for edges. */
const EDGES = [0, 1, 2, 3, 4, 5, 0x0f, 0x10, 0x45, 0x60, 0x7f, 0x80, 0xfe, 0xff] as const;

/** A changed copy: a few of bits flipped, edges set, runs repeated, cut, or cut off and made longer. */
export function mutateBytes(random: Random, original: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(original);
  for (let changes = 1 + random.below(3); changes > 0; changes -= 1) bytes = mutateOnce(random, bytes);
  return bytes;
}

function mutateOnce(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const at = random.below(Math.max(1, bytes.length));
  const copy = Uint8Array.from(bytes);
  switch (random.below(7)) {
    case 0:
      return bytes.slice(0, at) as Uint8Array<ArrayBuffer>;
    case 1:
      return Uint8Array.of(...bytes, ...random.bytes(1 + random.below(40)));
    case 2:
      return Uint8Array.of(...bytes.subarray(0, at), ...random.bytes(1 + random.below(4)), ...bytes.subarray(at));
    case 3:
      return Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + 1 + random.below(4)));
    case 4:
      if (at < copy.length) copy[at] = random.pick(EDGES);
      return copy;
    case 5:
      for (let run = at; run < Math.min(copy.length, at + 4); run += 1) copy[run] = random.pick(EDGES);
      return copy;
    default:
      if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      return copy;
  }
}

/** A changed text: characters and whole pieces of others set in, taken out, doubled. */
export function mutateText(random: Random, original: string, pieces: readonly string[]): string {
  let text = original;
  for (let changes = 1 + random.below(4); changes > 0; changes -= 1) {
    const at = random.below(text.length + 1);
    const length = random.oneIn(4) ? random.below(40) : 1;
    const inserted = [
      random.pick(pieces),
      String.fromCharCode(random.below(random.oneIn(8) ? 0x3000 : 128)),
      text.slice(at, at + length),
      '',
    ];
    text = text.slice(0, at) + random.pick(inserted) + text.slice(at + (random.oneIn(2) ? length : 0));
  }
  return text;
}
