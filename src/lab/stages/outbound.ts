/**
 * One outbound batch, stage by stage: the functions that a lane calls, each over the whole batch and on the clock. A lane splits and
 * seals packet by packet; here all packets pass a stage before the next begins, so that the clock is read per batch.
 */
import { recordSent } from '../../history/tx-history.ts';
import { ACTIVITY } from '../../ledger/catalog.ts';
import { TUN_READ } from '../../native/layout.ts';
import { OutboundBatch } from '../../outbound/batch.ts';
import { closeGroup } from '../../outbound/group.ts';
import { routePacket } from '../../outbound/route.ts';
import { sealRun } from '../../outbound/seal.ts';
import { sendGroups } from '../../outbound/send.ts';
import { inspect, SuperPacket, splitSegments } from '../../outbound/split.ts';
import { StagedPackets } from '../../outbound/stage.ts';
import { LIMIT } from '../../packet/arena.ts';
import type { Rig } from './rig.ts';
import type { StageId } from './stages.ts';
import type { Stopwatch } from './stopwatch.ts';
import { STAGE_MTU, type Workload } from './workload.ts';

/** Stages that are short for a batch and change nothing are run this often per lap. */
const REPEATS = 8;
const READ_ALIGNMENT = 16;
/** The inner packet starts at a multiple of 16, the virtio header right before it. */
const READ_START = 6;

export class OutboundRounds {
  /** Inner packets of a batch. */
  readonly packets: number;
  readonly #rig: Rig;
  readonly #batch: OutboundBatch;
  readonly #staged: StagedPackets;
  readonly #reads: readonly SuperPacket[];
  /** Segments in the batch behind each read. */
  readonly #ends: Int32Array;

  constructor(rig: Rig, workload: Workload) {
    const { lane } = rig;
    this.#rig = rig;
    this.#batch = new OutboundBatch(lane.arena);
    this.#staged = new StagedPackets(lane, STAGE_MTU);
    this.#reads = Array.from({ length: readsOf(workload) }, () => new SuperPacket());
    this.#ends = new Int32Array(this.#reads.length);
    this.packets = this.#reads.length * workload.packetsPerRead;
    this.#fill(workload);
  }

  /** Brings one batch from the TUN's memory to the socket's door. */
  round(watch: Stopwatch<StageId>): void {
    const { lane } = this.#rig;
    const { packets } = this;
    const batch = this.#batch;
    batch.clear();
    watch.start();
    for (let i = 0; i < REPEATS; i += 1) this.#inspectAll();
    watch.lap('inspect', packets * REPEATS);
    for (let i = 0; i < REPEATS; i += 1) this.#routeAll();
    watch.lap('route', packets * REPEATS);
    this.#splitAll();
    watch.lap('split', packets);
    this.#sealAll();
    watch.lap('seal', packets);
    lane.native.seal(lane.handle, lane.arena.seals, batch.segments, ACTIVITY.USER_TX_HISTORY);
    watch.lap('encrypt', packets);
    for (let i = 0; i < REPEATS; i += 1) recordSent(lane, batch);
    watch.lap('txHistory', packets * REPEATS);
    sendGroups(lane, batch);
    watch.lap('send', packets);
  }

  #inspectAll(): void {
    const { arena } = this.#rig.lane;
    let read = arena.tunReads >> 2;
    for (const packet of this.#reads) {
      inspect(packet, arena.view, arena.words[read + TUN_READ.OFFSET], arena.words[read + TUN_READ.LENGTH]);
      read += TUN_READ.WORDS;
    }
  }

  #routeAll(): void {
    const { lane } = this.#rig;
    for (const packet of this.#reads) {
      if (routePacket(lane, packet.ip) === null) throw new RangeError('a workload has no route');
    }
  }

  #splitAll(): void {
    const { arena } = this.#rig.lane;
    const batch = this.#batch;
    for (let read = 0; read < this.#reads.length; read += 1) {
      const packet = this.#reads[read];
      splitSegments(packet, batch, arena, 0, packet.segments);
      this.#ends[read] = batch.segments;
    }
  }

  /** As it is called in a lane: once per read, each time for the newest segments. */
  #sealAll(): void {
    const { lane, peer } = this.#rig;
    const batch = this.#batch;
    let first = 0;
    for (let read = 0; read < this.#reads.length; read += 1) {
      batch.segments = this.#ends[read];
      sealRun(lane, batch, this.#staged, peer, first);
      first = batch.segments;
    }
    closeGroup(lane, batch);
  }

  /** Puts the reads where `readTun` would. */
  #fill({ read }: Workload): void {
    const { arena } = this.#rig.lane;
    const stride = Math.ceil((READ_START + read.length) / READ_ALIGNMENT) * READ_ALIGNMENT;
    for (let i = 0; i < this.#reads.length; i += 1) {
      const offset = arena.tunIn + i * stride + READ_START;
      const words = (arena.tunReads >> 2) + i * TUN_READ.WORDS;
      arena.bytes.set(read, offset);
      arena.words[words + TUN_READ.OFFSET] = offset;
      arena.words[words + TUN_READ.LENGTH] = read.length;
    }
  }
}

/** As many as one native call brings: until its bytes are over. */
function readsOf({ read }: Workload): number {
  return Math.min(LIMIT.TUN_READS, Math.ceil(LIMIT.TUN_READ_BYTES / read.length));
}
