/**
 * One inbound batch, stage by stage: a turn of the lane's own inbound path, on the clock wherever it calls a native verb; then
 * writing alone, with the lists of pieces that the path had made, so that its time can be taken off that of the stages that call it.
 * Verifying and coalescing are one stage here, as they are one step for a packet that continues a run.
 */
import { HandshakeGate } from '../../inbound/handshake-gate.ts';
import { InboundPath } from '../../inbound/receive.ts';
import { TunWriter } from '../../inbound/write.ts';
import { TUN_WRITE } from '../../native/layout.ts';
import { LiveIndices } from '../../tables/live-indices.ts';
import type { Moments, Rig } from './rig.ts';
import type { StageId } from './stages.ts';
import type { Stopwatch } from './stopwatch.ts';

/** A write as the path made it. */
interface Write {
  readonly pieces: Int32Array;
  readonly count: number;
  readonly packets: number;
}

const QUIET: Moments = { received() {}, unsealStarts() {}, unsealEnds() {}, historyEnds() {}, written() {} };

export class InboundRounds {
  readonly #rig: Rig;
  readonly #packets: number;
  readonly #path: InboundPath;
  readonly #writer: TunWriter;
  readonly #writes: Write[] = [];

  /** The outbound direction has left a batch of `packets` datagrams at the rig. */
  constructor(rig: Rig, packets: number) {
    this.#rig = rig;
    this.#packets = packets;
    const noIndices = new LiveIndices(LiveIndices.allocate());
    this.#path = new InboundPath(rig.lane, new HandshakeGate(rig.lane, 1, noIndices, () => true));
    this.#writer = new TunWriter(rig.lane);
    this.#capture();
  }

  /** Brings one batch from the socket's door to the TUN's. */
  round(watch: Stopwatch<StageId>): void {
    this.#turn(watch);
    watch.start();
    this.#writeAll();
    watch.lap('write', this.#packets);
    watch.note('coalesce', watch.latest('coalesceAndWrite') - watch.latest('write'));
  }

  #turn(watch: Stopwatch<StageId>): void {
    const packets = this.#packets;
    this.#rig.moments = {
      ...QUIET,
      received: () => watch.start(),
      unsealStarts: () => watch.lap('receive', packets),
      unsealEnds: () => watch.lap('decrypt', packets),
      historyEnds: () => watch.lap('rxHistory', packets),
    };
    this.#path.turn(4);
    watch.lap('coalesceAndWrite', packets);
    this.#rig.moments = QUIET;
  }

  /** One turn off the clock that remembers what was written. */
  #capture(): void {
    this.#rig.moments = { ...QUIET, written: (writes) => this.#noteWrites(writes) };
    this.#path.turn(4);
    this.#rig.moments = QUIET;
    const written = this.#writes.reduce((sum, { packets }) => sum + packets, 0);
    if (written !== this.#packets) throw new RangeError(`of ${this.#packets} packets ${written} came through`);
  }

  #noteWrites(writes: number): void {
    const { words, writes: region } = this.#rig.lane.arena;
    for (let write = 0; write < writes; write += 1) {
      const at = (region >> 2) + write * TUN_WRITE.WORDS;
      const from = words[at + TUN_WRITE.PIECES_OFFSET] >> 2;
      const count = words[at + TUN_WRITE.PIECES_COUNT];
      const packets = words[at + TUN_WRITE.PACKETS];
      this.#writes.push({ pieces: words.slice(from, from + count * 2), count, packets });
    }
  }

  #writeAll(): void {
    for (const { pieces, count, packets } of this.#writes) this.#writer.append(pieces, 0, count, packets, 0);
    this.#writer.flush();
  }
}
