/**
 * One inbound batch, stage by stage: a turn of the lane's own inbound path, on the clock wherever it calls a native verb; then
 * verifying (into nothing), coalescing and writing alone, over the same packets as they lay before. Coalescing calls writing, whose
 * own time is taken off.
 */
import { InboundBatch } from '../../inbound/batch.ts';
import { Coalescer } from '../../inbound/coalesce.ts';
import { InboundPath } from '../../inbound/receive.ts';
import { type PacketSink, Verifier } from '../../inbound/verify.ts';
import { TunWriter } from '../../inbound/write.ts';
import { TUN_WRITE, UDP_RECEIVE, UNSEAL } from '../../native/layout.ts';
import { ipPacketLength } from '../../packet/ip-header.ts';
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

const NOWHERE: PacketSink = { add() {}, flush() {} };

export class InboundRounds {
  readonly #rig: Rig;
  readonly #packets: number;
  readonly #path: InboundPath;
  readonly #batch: InboundBatch = new InboundBatch();
  readonly #verifier: Verifier;
  readonly #coalescer: Coalescer;
  readonly #writer: TunWriter;
  /** Plaintexts as they lie after unsealing: place, length, sum; and the bytes around them. */
  readonly #messages: Int32Array;
  readonly #plain: Uint8Array;
  #writes: Write[] = [];

  /** The outbound direction has left a batch of `packets` datagrams at the rig. */
  constructor(rig: Rig, packets: number) {
    this.#rig = rig;
    this.#packets = packets;
    this.#path = new InboundPath(rig.lane, () => true);
    this.#verifier = new Verifier(rig.lane, NOWHERE);
    this.#coalescer = new Coalescer(rig.lane);
    this.#writer = new TunWriter(rig.lane);
    this.#messages = new Int32Array(packets * 3);
    this.#plain = new Uint8Array(rig.lane.arena.udpInLength);
    this.#capture();
  }

  /** Brings one batch from the socket's door to the TUN's. */
  round(watch: Stopwatch<StageId>): void {
    this.#turn(watch);
    this.#restore();
    watch.start();
    this.#verifier.deliver(this.#batch);
    watch.lap('verify', this.#packets);
    this.#coalesceAll();
    watch.lap('coalesceAndWrite', this.#packets);
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
    this.#rig.moments = QUIET;
  }

  /** One turn off the clock that remembers what the stages were given. */
  #capture(): void {
    const { arena } = this.#rig.lane;
    this.#rig.moments = {
      ...QUIET,
      historyEnds: () => {
        this.#plain.set(arena.bytes.subarray(arena.udpIn, arena.udpIn + arena.udpInLength));
        this.#noteMessages();
        this.#fillBatch();
      },
      written: (writes) => this.#noteWrites(writes),
    };
    this.#path.turn(4);
    this.#rig.moments = QUIET;
    const written = this.#writes.reduce((sum, { packets }) => sum + packets, 0);
    if (written !== this.#packets) throw new RangeError(`of ${this.#packets} packets ${written} came through`);
  }

  #noteMessages(): void {
    const { words, view, unseals } = this.#rig.lane.arena;
    for (let message = 0; message < this.#packets; message += 1) {
      const unseal = (unseals >> 2) + message * UNSEAL.WORDS;
      const offset = words[unseal + UNSEAL.OFFSET];
      this.#messages[message * 3] = offset;
      this.#messages[message * 3 + 1] = ipPacketLength(view, offset, words[unseal + UNSEAL.RESULT]);
      this.#messages[message * 3 + 2] = words[unseal + UNSEAL.SUM];
    }
  }

  /** The batch as the path has it at this moment; the descriptors stay in the arena from turn to turn. */
  #fillBatch(): void {
    const { words, receives } = this.#rig.lane.arena;
    const batch = this.#batch;
    for (let receive = receives >> 2; batch.messages < this.#packets; receive += UDP_RECEIVE.WORDS) {
      const length = words[receive + UDP_RECEIVE.LENGTH];
      const datagrams = Math.ceil(length / (words[receive + UDP_RECEIVE.SEGMENT_LENGTH] || length));
      for (const end = batch.messages + datagrams; batch.messages < end; batch.messages += 1) {
        batch.keypairs[batch.messages] = this.#rig.peer.current;
        batch.sources[batch.messages] = (receive + UDP_RECEIVE.ENDPOINT) << 2;
        batch.fresh[batch.messages] = 1;
      }
    }
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

  #restore(): void {
    const { arena } = this.#rig.lane;
    arena.bytes.set(this.#plain, arena.udpIn);
  }

  #coalesceAll(): void {
    const messages = this.#messages;
    for (let at = 0; at < messages.length; at += 3) {
      this.#coalescer.add(messages[at], messages[at + 1], messages[at + 2]);
    }
    this.#coalescer.flush();
  }

  #writeAll(): void {
    for (const { pieces, count, packets } of this.#writes) this.#writer.append(pieces, 0, count, packets, 0);
    this.#writer.flush();
  }
}
