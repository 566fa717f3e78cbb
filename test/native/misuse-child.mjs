/**
 * Calls every export of the addon with arbitrary arguments and arbitrary arena content, in a process of its own, so that
 * a crash shows as a signal. Each call must succeed or throw a TypeError, a RangeError, a system error, or what a getter
 * of its arguments threw.
 *
 *     node misuse-child.mjs SEED RUNS
 */
import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';

const require = createRequire(import.meta.url);
const addon = require('node-gyp-build')(fileURLToPath(new URL('../..', import.meta.url)));
const [seed, numRuns] = process.argv.slice(2).map(Number);
const fromGetter = new Error('thrown by a getter');
const ARENA_LENGTH = 1 << 18;

function openTun() {
  try {
    return addon.openTun({ name: 'gt-misuse%d', multiQueue: true, offloads: 7 }).fd;
  } catch {
    return -1;
  }
}

const tunFd = openTun();
const udp = (family) =>
  addon.openUdp({ family, port: 0, reusePort: false, joinPort: false, fwmark: 0, gro: true, bufferLength: 1 << 16 }).fd;
const [udp4Fd, udp6Fd] = [udp(4), udp(6)];

function openLane(shared) {
  const arena = shared ? new Uint8Array(new SharedArrayBuffer(ARENA_LENGTH)) : new Uint8Array(ARENA_LENGTH);
  const books = new Float64Array(64);
  const options = { arena, books, tunFd, udp4Fd, udp6Fd, aead: 'auto', bookTime: shared };
  return { arena, books, ...addon.openLane(options) };
}

/** Stays open, so that its eventfd does. */
const keeper = openLane(true);

/** Lanes of every condition, opened anew for each run; a run's arguments name them by what stands here. */
const CONDITIONS = ['good', 'unshared', 'arenaDetached', 'booksDetached', 'closed'];
const tokens = Object.fromEntries(CONDITIONS.map((condition) => [condition, { condition }]));

function openLanes() {
  const lanes = Object.fromEntries(CONDITIONS.map((condition, i) => [condition, openLane(i === 0)]));
  structuredClone(lanes.arenaDetached.arena, { transfer: [lanes.arenaDetached.arena.buffer] });
  structuredClone(lanes.booksDetached.books, { transfer: [lanes.booksDetached.books.buffer] });
  addon.closeLane(lanes.closed.handle);
  for (const slot of [0, 1, 2]) addon.setKey(lanes.good.handle, slot, new Uint8Array(32).fill(slot), slot % 2);
  return lanes;
}

const edges = [0, 1, 2, 3, 4, 6, 8, 11, 12, 16, 32, 64, 1023, 1024, 1025, 4096, 65568, ARENA_LENGTH - 1, ARENA_LENGTH];
const wild = [-1, -0, 0.5, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1e300, Number.NaN, Infinity, -Infinity];
const number = fc.oneof(fc.constantFrom(...edges), fc.constantFrom(...wild), fc.nat(ARENA_LENGTH), fc.integer());
const handle = fc.constantFrom(tokens.good, tokens.good, tokens.good, ...Object.values(tokens));
const array = fc.constantFrom(
  new Uint8Array(0),
  new Uint8Array(32),
  new Uint8Array(new SharedArrayBuffer(32)),
  new Float64Array(16),
  new Float64Array(64),
  new DataView(new ArrayBuffer(32)),
  new ArrayBuffer(32),
  Buffer.alloc(32),
);
const strange = fc.constantFrom(
  new Proxy({}, {}),
  new Proxy(() => 1, {}),
  {
    get name() {
      throw fromGetter;
    },
    get family() {
      throw fromGetter;
    },
    get arena() {
      throw fromGetter;
    },
  },
  Symbol.iterator,
  10n,
);
const anything = fc.oneof(fc.anything(), array, strange, handle, number);

/** Mostly of the right kind, sometimes anything at all. */
const mostly = (right) => fc.oneof({ weight: 40, arbitrary: right }, { weight: 1, arbitrary: anything });
const record = (fields) =>
  fc.record(Object.fromEntries(Object.entries(fields).map(([name, right]) => [name, mostly(right)])), {
    requiredKeys: [],
  });
const flag = fc.boolean();
const next = fc.nat(13);
const fd = fc.constantFrom(-1, tunFd, udp4Fd, udp6Fd, keeper.wakeFd, 99_999);
const name = fc.oneof(
  fc.constantFrom('', 'lo', 'a/b', 'gt-m%d', 'x'.repeat(15), 'x'.repeat(16), 'é'.repeat(8), 'a\0b'),
  fc.string(),
);
const column = fc.constantFrom(0, 64, 4096, 8190, ARENA_LENGTH - 64, ARENA_LENGTH);
const count = fc.constantFrom(0, 1, 2, 17, 64, 1024, 1025);
const start = fc.constantFrom(0, 4096, 16_384, 65_536, ARENA_LENGTH - 65_568);
const room = fc.constantFrom(0, 65_536, 65_568, 100_000, ARENA_LENGTH);
const slot = fc.oneof(fc.nat(4), fc.constantFrom(2 ** 20 - 1, 2 ** 20));
const key = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.uint8Array({ maxLength: 64 }),
);
const cipher = fc.nat(3);

/** Arguments of each export, as its declaration has them. */
const verbs = {
  openTun: [record({ name, multiQueue: flag, offloads: fc.nat(127), fd })],
  openUdp: [
    record({
      family: fc.constantFrom(4, 5, 6),
      port: fc.constantFrom(0, 1, 65_535, 65_536),
      reusePort: flag,
      joinPort: flag,
      gro: flag,
      fwmark: number,
      bufferLength: fc.nat(1 << 20),
    }),
  ],
  linkInfo: [fd, name, fd],
  openLane: [
    record({
      arena: fc.constantFrom(new Uint8Array(64), new Uint8Array(new SharedArrayBuffer(64))),
      books: fc.constantFrom(new Float64Array(64), new Float64Array(63), new Float64Array(8)),
      tunFd: fc.constantFrom(-1, tunFd),
      udp4Fd: fc.constantFrom(-1, udp4Fd, udp6Fd),
      udp6Fd: fc.constantFrom(-1, udp6Fd),
      aead: fc.constantFrom('auto', 'openssl', 'ipsec-mb', 'none'),
      bookTime: flag,
    }),
  ],
  closeLane: [fc.oneof(fc.constantFrom(tokens.closed, tokens.unshared), strange)],
  wake: [fd],
  wait: [handle, fc.constantFrom(0, 0.25, 1, -2, Number.NaN), fc.nat(40), next],
  readTun: [handle, column, count, start, room, number, next],
  writeTun: [handle, column, count, next],
  receiveUdp: [handle, fc.constantFrom(4, 5, 6), column, count, start, room, next],
  sendUdp: [handle, column, count, next],
  seal: [handle, column, count, next],
  unseal: [handle, column, count, next],
  accumulate: [handle, column, count, next],
  checkMacs: [handle, column, count, start, next],
  sealCookies: [handle, column, count, start, next],
  setKey: [handle, slot, key, cipher],
  book: [handle, next],
  threadUsage: [array],
  harden: [fc.constantFrom(-1, -2, -0.5, 2 ** 53, Number.NaN)],
};

/** Fills the arenas with words that are often plausible as offsets, lengths, slots and endpoints. */
function scribble(lanes, words) {
  for (const { arena } of [lanes.good, lanes.unshared]) {
    const view = new Int32Array(arena.buffer);
    for (let i = 0; i < 16_384; i++) view[i] = words[(i * 7 + (i >> 5)) % words.length] ?? 0;
  }
}

/** A wait with nothing to wake it is cut short; capabilities that other verbs need are kept. */
function tame(verb, args) {
  if (verb === 'harden' && typeof args[0] === 'number' && args[0] >= 0) args[0] = -1 - args[0];
  if (verb === 'wait' && typeof args[1] === 'number' && (args[1] === -1 || args[1] > 5)) args[1] = 1;
  return args;
}

function isTyped(error) {
  if (error instanceof TypeError || error instanceof RangeError || error === fromGetter) return true;
  return (
    error instanceof Error && typeof error.code === 'string' && typeof error.syscall === 'string' && error.errno > 0
  );
}

/** What a call opened is closed again. */
function release(verb, result) {
  if (verb === 'openTun' && result.fd !== tunFd) closeSync(result.fd);
  if (verb === 'openUdp') closeSync(result.fd);
  if (verb === 'openLane') addon.closeLane(result.handle);
}

const outcomes = { success: 0, TypeError: 0, RangeError: 0, system: 0 };
const succeeded = new Set();

function call(verb, args) {
  try {
    release(verb, addon[verb](...tame(verb, args)));
    outcomes.success += 1;
    succeeded.add(verb);
  } catch (error) {
    if (!isTyped(error)) throw new Error(`${verb} threw neither a typed nor a system error`, { cause: error });
    outcomes[error instanceof TypeError ? 'TypeError' : error instanceof RangeError ? 'RangeError' : 'system'] += 1;
  }
}

function runSequence(content, sequence) {
  const lanes = openLanes();
  const resolve = (value) => (Object.values(tokens).includes(value) ? lanes[value.condition].handle : value);
  scribble(lanes, content);
  for (const [verb, args] of sequence) call(verb, args.map(resolve));
  for (const { handle } of Object.values(lanes)) addon.closeLane(handle);
}

const words = fc.array(
  fc.oneof(
    fc.constantFrom(...edges, 4, 6, 1, 40, 92, 148, 148, 1420),
    number.map((n) => n | 0),
  ),
  {
    minLength: 1,
    maxLength: 40,
  },
);
const calls = Object.entries(verbs).map(([verb, args]) => {
  const fitting = fc.tuple(...args.map(mostly));
  return fc.tuple(
    fc.constant(verb),
    fc.oneof({ weight: 6, arbitrary: fitting }, { weight: 1, arbitrary: fc.array(anything) }),
  );
});

const sequences = fc.array(fc.oneof(...calls), { minLength: 1, maxLength: 40, size: 'max' });
fc.assert(fc.property(words, sequences, runSequence), { seed, numRuns });
const exported = Object.keys(addon).sort();
if (Object.keys(verbs).sort().join() !== exported.join()) throw new Error('not every export was called');
const never = exported.filter((verb) => !succeeded.has(verb) && !(verb === 'openTun' && tunFd === -1));
if (never.length > 0) throw new Error(`never called with success: ${never.join(', ')}`);
console.log(JSON.stringify(outcomes));
