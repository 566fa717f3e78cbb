/** Snapshots for tests, made the way a lane makes them: filled books, one commit, one read. */
import fc from 'fast-check';
import { ACTIVITIES, ACTIVITY, type ActivityName, COUNTER, type CounterName } from '../../../src/ledger/catalog.ts';
import { Ledger } from '../../../src/ledger/ledger.ts';
import { openPage } from '../../../src/ledger/page.ts';
import { type DeviceSnapshot, type LaneSnapshot, readPage, sumSnapshots } from '../../../src/ledger/snapshot.ts';
import { BOOKS, USAGE } from '../../../src/native/layout.ts';
import { DROP, DROP_REASONS, type DropName } from '../../../src/packet/drop-reason.ts';

export interface BooksContent {
  readonly activitiesNs?: Partial<Record<ActivityName, number>>;
  readonly coreWaitNs?: Partial<Record<ActivityName, number>>;
  readonly sleepNs?: number;
  readonly counts?: Partial<Record<CounterName, number>>;
  readonly drops?: Partial<Record<DropName, number>>;
  readonly usage?: Partial<Record<keyof typeof USAGE, number>>;
  /** Without it, wall time is the sum of the activities. */
  readonly wallNs?: number;
}

const OPENED_NS = 5_000_000_000;

const SYSTEM_CALL_CELL: Partial<Record<CounterName, number>> = {
  TUN_READ_IO: BOOKS.READ_TUN_IO,
  TUN_WRITE_IO: BOOKS.WRITE_TUN_IO,
  UDP_SEND_IO: BOOKS.SEND_UDP_IO,
  UDP_RECV_IO: BOOKS.RECV_UDP_IO,
  WAIT_IO: BOOKS.WAIT_IO,
};

/** Writes the content into a ledger's private books, as native code and the hot path would. */
export function fill(ledger: Ledger, content: BooksContent): void {
  const { activitiesNs = {}, coreWaitNs = {}, counts = {}, drops = {}, usage = {} } = content;
  let sumNs = 0;
  for (const [name, ns] of entries(activitiesNs)) {
    ledger.books[BOOKS.ACTIVITY_NS + ACTIVITY[name]] = ns;
    sumNs += ns;
  }
  for (const [name, ns] of entries(coreWaitNs)) ledger.books[BOOKS.CORE_WAIT_NS + ACTIVITY[name]] = ns;
  ledger.books[BOOKS.SLEEP_NS] = content.sleepNs ?? 0;
  ledger.books[BOOKS.OPENED_NS] = OPENED_NS;
  ledger.books[BOOKS.NOW_NS] = OPENED_NS + (content.wallNs ?? sumNs);
  for (const [name, count] of entries(counts)) {
    const cell = SYSTEM_CALL_CELL[name];
    if (cell === undefined) ledger.counts[COUNTER[name]] = count;
    else ledger.books[cell] = count;
  }
  for (const [name, count] of entries(drops)) ledger.drops[DROP[name]] = count;
  for (const [name, value] of entries(usage)) ledger.usage[USAGE[name]] = value;
}

/** The snapshot of a lane with this content. */
export function laneWith(name: string, content: BooksContent): LaneSnapshot {
  const page = openPage();
  const ledger = new Ledger(page);
  fill(ledger, content);
  ledger.commit();
  return readPage(page, name);
}

/** The snapshot of a device with these lanes. */
export function deviceWith(lanes: readonly LaneSnapshot[], wallNs = 1e9): DeviceSnapshot {
  return {
    interface: 'gt0',
    aead: 'openssl',
    peersByCipher: {},
    heldOffloads: [],
    heldGroupPeersCount: 0,
    histories: [],
    takenAtMs: 1_700_000_000_000,
    wallNs,
    rssBytes: 97_100_000,
    memoryCapBytes: null,
    memoryCrossingsCount: 0,
    processCpuNs: 1_250_000_000,
    lanes,
    total: sumSnapshots(lanes),
  };
}

const amount = fc.integer({ min: 0, max: 2 ** 46 });

/** Any books, in whole numbers small enough that sums are exact: sleep and waits for a core are parts of their activity. */
export const anyBooks: fc.Arbitrary<BooksContent> = fc
  .record({
    awakeNs: someOf(ACTIVITIES.map(({ name }) => name)),
    coreWaitNs: someOf(ACTIVITIES.map(({ name }) => name)),
    sleepNs: amount,
    counts: someOf(Object.keys(COUNTER) as CounterName[]),
    drops: someOf(DROP_REASONS.map(({ name }) => name)),
    usage: someOf((Object.keys(USAGE) as (keyof typeof USAGE)[]).filter((key) => key !== 'CELLS')),
  })
  .map(({ awakeNs, ...content }) => ({ ...content, activitiesNs: wholes(awakeNs, content) }));

type Times = Partial<Record<ActivityName, number>>;

/** Time of each activity: awake on a core, waiting for one, and asleep. */
function wholes(awakeNs: Times, { coreWaitNs, sleepNs }: { coreWaitNs: Times; sleepNs: number }): Times {
  const sleepIn = (name: ActivityName): number => (name === 'KERN_WAIT' ? sleepNs : 0);
  return Object.fromEntries(
    ACTIVITIES.map(({ name }) => [name, (awakeNs[name] ?? 0) + (coreWaitNs[name] ?? 0) + sleepIn(name)]),
  );
}

function someOf<Name extends string>(names: readonly Name[]): fc.Arbitrary<Partial<Record<Name, number>>> {
  return fc
    .dictionary(fc.constantFrom(...names), amount, { noNullPrototype: true })
    .map((chosen) => chosen as Partial<Record<Name, number>>);
}

function entries<Name extends string>(record: Partial<Record<Name, number>>): [Name, number][] {
  return Object.entries(record) as [Name, number][];
}
