/** Fuzz target of the addon: descriptors of any content, and offsets at every edge. (The core under sanitizers: native/fuzz.) */
import * as addon from '../../src/native/addon.ts';
import { BOOKS, CIPHER } from '../../src/native/layout.ts';
import type { Random } from './random.ts';
import { expectThat, type Target } from './target.ts';

const ARENA_BYTES = 1 << 16;
const DESCRIPTORS = 0;
/** Of handshakes. */
const KEYS = 2_048;
const HANDSHAKE_LENGTHS = [148, 92] as const;
const COUNT_MAX = 8;
/** Behind the arena that verbs are told of lies this; whoever writes there is found. */
const GUARD_BYTES = 4_096;
const GUARD = 0x5a;
const EDGES = [
  0,
  1,
  15,
  16,
  32,
  255,
  1_024,
  ARENA_BYTES - 16,
  ARENA_BYTES - 1,
  ARENA_BYTES,
  ARENA_BYTES + 1,
  2 ** 31 - 1,
  -1,
  -(2 ** 31),
];

export const nativeDescriptors: Target = {
  name: 'native-descriptors',
  what: 'descriptors of edges and random words to seal, unseal, sendUdp, checkMacs and sealCookies: done, or a RangeError, and nothing written beyond the arena',
  weight: 15,
  open: openNative,
};

function openNative(): (random: Random) => void {
  const memory = new SharedArrayBuffer(ARENA_BYTES + GUARD_BYTES);
  const arena = new Uint8Array(memory, 0, ARENA_BYTES);
  const guard = new Uint8Array(memory, ARENA_BYTES).fill(GUARD);
  const words = new Int32Array(memory);
  const books = new Float64Array(BOOKS.CELLS);
  const fds = { tunFd: -1, udp4Fd: -1, udp6Fd: -1 };
  const { handle } = addon.openLane({ arena, books, ...fds, aead: 'auto', bookTime: false });
  for (const cipher of [CIPHER.CHACHA20_POLY1305, CIPHER.AES_256_GCM])
    addon.setKey(handle, cipher, new Uint8Array(32).fill(cipher + 1), cipher);
  const verbs = [addon.seal, addon.unseal, addon.sendUdp];
  const keyed = [addon.checkMacs, addon.sealCookies];
  return (random) => {
    const filled: number[] = [];
    for (let word = 0; word < COUNT_MAX * 12; word += 1) {
      words[word] = anyWord(random);
      filled.push(words[word] ?? 0);
    }
    const isKeyed = random.oneIn(3);
    const keys = random.oneIn(8) ? random.pick(EDGES) & 0x7fff_ffff : KEYS;
    const at = random.oneIn(8) ? random.pick(EDGES) & 0x7fff_ffff : DESCRIPTORS;
    const count = random.oneIn(8) ? random.below(2_000) : random.below(COUNT_MAX + 1);
    try {
      if (isKeyed) random.pick(keyed)(handle, at, count, keys, 0);
      else random.pick(verbs)(handle, at, count, 0);
    } catch (error) {
      expectThat(error instanceof RangeError, `${String(error)}`, () => filled);
    }
    if (random.oneIn(16))
      expectThat(
        guard.every((byte) => byte === GUARD),
        'something was written beyond the arena',
        () => filled,
      );
  };
}

/** Mostly small, so that batches are taken now and then. */
function anyWord(random: Random): number {
  if (random.oneIn(24)) return random.pick(EDGES);
  if (random.oneIn(40)) return random.word() | 0;
  if (random.oneIn(5)) return random.pick(HANDSHAKE_LENGTHS);
  return random.oneIn(3) ? random.below(2) : 4_096 + 16 * random.below(3_000);
}
