/**
 * Two gigatuns and the messages that they say to each other, over a path that loses these as well as data: announcements,
 * reports of gaps, tails. Ends are made of the parts that lanes and control lane use; datagrams carry plaintexts in the clear.
 */
import { describe, expect, it } from 'vitest';
import { GapWatch } from '../../src/history/gap-watch.ts';
import { allocateHistoryCells } from '../../src/history/peer-history.ts';
import { Repeats } from '../../src/history/repeats.ts';
import { SentRing } from '../../src/history/sent-ring.ts';
import { NO_HISTORY } from '../../src/history/settings.ts';
import { Tails } from '../../src/history/tails.ts';
import { Announcer } from '../../src/offloads/announcer.ts';
import { CONTROL_KIND, controlKind } from '../../src/protocol/control-header.ts';
import {
  CAPABILITY,
  type ControlMessage,
  decodeControlMessage,
  encodeControlMessage,
} from '../../src/protocol/control-message.ts';
import { gapCount, gapFirst, gapsRanges, TAIL_LENGTH, writeTail } from '../../src/protocol/gaps-message.ts';
import { Random } from '../fuzz/random.ts';
import { EventQueue } from './event-queue.ts';

const RTT_MS = 20;
const RETRANSMIT_MS = 200;
const BUDGET = 1;
const DATAGRAM_BYTES = 1_000;
const TURN_MS = 1;
const REPORT_INTERVAL_MS = 2;
const ALL = Number.POSITIVE_INFINITY;
const RULES = { allowanceMs: 2, passedMs: 2, passedBelow: ALL, isOrderly: true, askAgainMs: 1.2 * RTT_MS };
/** What repeats may save up (`repeats.ts`). */
const IN_HAND_BYTES = 65_536;

/** What a datagram holds: a number of data, or a control message. */
type Content = number | Uint8Array;

interface Datagram {
  readonly counter: number;
  readonly content: Content;
}

class End {
  readonly announcer: Announcer = new Announcer(true, CAPABILITY.GAPS);
  /** How often each number of data was delivered. */
  readonly delivered: Map<number, number> = new Map();
  reports = 0;
  repeats = 0;
  tails = 0;
  lost = 0;
  sentDatagrams = 0;
  readonly #queue: EventQueue;
  readonly #carry: (datagram: Datagram) => void;
  readonly #sent: Datagram[] = [];
  readonly #ring: SentRing = new SentRing(0, 8_388_608);
  readonly #repeats: Repeats = new Repeats(new Float64Array(allocateHistoryCells()));
  readonly #tails: Tails = new Tails();
  readonly #watch: GapWatch = new GapWatch();
  readonly #arrived: Set<number> = new Set();
  #reportFromMs = 0;

  constructor(queue: EventQueue, carry: (datagram: Datagram) => void) {
    this.#queue = queue;
    this.#carry = carry;
    this.#repeats.setSettings({ ...NO_HISTORY, retransmitMs: RETRANSMIT_MS, retransmitBudget: BUDGET });
    this.#repeats.setRtt(RTT_MS);
    this.#say(this.announcer.newKeypair(0));
  }

  get knowsGaps(): boolean {
    return (this.announcer.capabilities & CAPABILITY.GAPS) !== 0;
  }

  sendData(number: number): void {
    this.#send(number, DATAGRAM_BYTES);
    this.#tails.dataSent(this.#queue.nowMs, RTT_MS, RETRANSMIT_MS);
  }

  receive({ counter, content }: Datagram): void {
    const isNew = !this.#arrived.has(counter);
    this.#arrived.add(counter);
    if (!isNew) return;
    const nowMs = this.#queue.nowMs;
    if (counter >= this.#watch.expected) this.lost += this.#watch.advance(counter, nowMs);
    else if (!this.#watch.fill(counter)) return;
    if (typeof content === 'number') this.delivered.set(content, (this.delivered.get(content) ?? 0) + 1);
    else this.#take(content);
  }

  /** As a lane's loop does it. */
  turn(): void {
    const nowMs = this.#queue.nowMs;
    this.#say(this.announcer.due(nowMs));
    if (!this.knowsGaps) return;
    if (this.#tails.take(nowMs)) {
      const bytes = new Uint8Array(TAIL_LENGTH);
      writeTail(new DataView(bytes.buffer), 0);
      this.tails += 1;
      this.#send(bytes, bytes.length);
    }
    this.lost += this.#watch.giveUp(nowMs - RETRANSMIT_MS);
    if (this.#watch.missing > 0 && nowMs >= this.#reportFromMs) this.#report(nowMs);
  }

  #report(nowMs: number): void {
    const view = new DataView(new ArrayBuffer(1_024));
    const length = this.#watch.report(view, 0, 1, nowMs, RULES);
    if (length === 0) return;
    this.#reportFromMs = nowMs + REPORT_INTERVAL_MS;
    this.reports += 1;
    this.#send(new Uint8Array(view.buffer, 0, length), length);
  }

  #take(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (controlKind(view, 0) === CONTROL_KIND.GAPS) this.#repeat(view, bytes.length);
    const message = decodeControlMessage(bytes);
    if (message?.kind === 'announce') this.#say(this.announcer.take(message, this.#queue.nowMs));
  }

  #repeat(view: DataView, length: number): void {
    const index = this.#ring.indexOf(1);
    for (let range = 0; range < gapsRanges(view, 0, length); range += 1)
      for (let at = 0; at < gapCount(view, 0, range); at += 1) {
        const counter = gapFirst(view, 0, range) + at;
        const isRepeated = index !== null && this.#repeats.take(this.#ring, index, counter, this.#queue.nowMs) !== -1;
        if (!isRepeated) continue;
        this.repeats += 1;
        this.#transmit(this.#sent[counter] as Datagram);
      }
  }

  #say(message: ControlMessage | null): void {
    if (message === null) return;
    const bytes = encodeControlMessage(message);
    this.#send(bytes, bytes.length);
  }

  /** For the first time: kept, and counted to the budget. */
  #send(content: Content, length: number): void {
    const datagram = { counter: this.#sent.length, content };
    this.#sent.push(datagram);
    const offset = this.#ring.reserve(length, length, datagram.counter);
    this.#ring.commit(offset + length);
    const position = this.#ring.positionOf(offset);
    this.#ring.indexToAdd(1).add(datagram.counter, position, length, length, this.#queue.nowMs, 0);
    this.#repeats.earn(length);
    this.#transmit(datagram);
  }

  #transmit(datagram: Datagram): void {
    this.sentDatagrams += 1;
    this.#carry(datagram);
  }
}

interface Story {
  readonly a: End;
  readonly b: End;
  readonly queue: EventQueue;
  /** Share of datagrams that get lost from now on, each way. */
  lose(loss: number): void;
  run(ms: number): void;
}

function story(seed: number, firstLoss = 0): Story {
  const random = new Random(seed);
  const queue = new EventQueue();
  let loss = firstLoss;
  const carryTo =
    (end: () => End) =>
    (datagram: Datagram): void => {
      if (random.below(1e6) < loss * 1e6) return;
      queue.plan(queue.nowMs + RTT_MS / 2, () => end().receive(datagram));
    };
  const a: End = new End(
    queue,
    carryTo(() => b),
  );
  const b: End = new End(
    queue,
    carryTo(() => a),
  );
  const turn = (): void => {
    a.turn();
    b.turn();
    queue.plan(queue.nowMs + TURN_MS, turn);
  };
  queue.plan(0, turn);
  return {
    ...{ a, b, queue },
    lose: (share) => {
      loss = share;
    },
    run: (ms) => queue.runUntil(queue.nowMs + ms),
  };
}

/** Data each way, a datagram a millisecond, and then silence. */
function exchange({ a, b, run }: Story, count: number): void {
  for (let number = 0; number < count; number += 1) {
    a.sendData(number);
    b.sendData(number);
    run(1);
  }
}

const SEEDS = [1, 2, 3, 4];

describe('Reports of gaps over a path that loses them too', () => {
  // Each try takes a round trip and a little, so that some eight of them fit; each fails by two losses in a row.
  it.each(
    SEEDS.flatMap((seed) => [
      [seed, 0.01, 1],
      [seed, 0.05, 1],
      [seed, 0.2, 0.999],
    ]),
  )('bring what is lost (seed %i, loss %d)', (seed, loss, share) => {
    const scene = story(seed);
    const { a, b } = scene;
    scene.run(100);
    expect(a.knowsGaps && b.knowsGaps).toBe(true);
    scene.lose(loss);
    exchange(scene, 2_000);
    scene.run(1_000);
    for (const end of [a, b]) {
      expect(end.delivered.size).toBeGreaterThanOrEqual(2_000 * share);
      expect([...end.delivered.values()].every((times) => times === 1)).toBe(true);
      expect(end.repeats).toBeGreaterThan(2_000 * loss * 0.5);
    }
  });

  it.each(SEEDS)('end when data ends, however much gets lost (seed %i)', (seed) => {
    const scene = story(seed);
    const { a, b } = scene;
    scene.run(100);
    scene.lose(0.4);
    exchange(scene, 300);
    scene.run(3_000);
    const before = [a.sentDatagrams, b.sentDatagrams];
    expect([a.tails, b.tails]).toEqual([8, 8]);
    scene.run(60_000);
    expect([a.sentDatagrams, b.sentDatagrams]).toEqual(before);
  });

  it.each(SEEDS)('are paced, and what they bring is within the budget (seed %i)', (seed) => {
    const scene = story(seed);
    const { a, b } = scene;
    scene.run(100);
    scene.lose(0.6);
    exchange(scene, 1_000);
    const firstBytes = 1_000 * DATAGRAM_BYTES;
    for (const end of [a, b]) {
      expect(end.reports).toBeLessThanOrEqual(1_000 / REPORT_INTERVAL_MS + 1);
      expect(end.repeats).toBeGreaterThan(100);
      expect(end.repeats * DATAGRAM_BYTES).toBeLessThanOrEqual(2 * BUDGET * firstBytes + IN_HAND_BYTES);
    }
  });

  it('are not sent to one that has not said that it knows them', () => {
    const scene = story(1, 1);
    const { a, b } = scene;
    exchange(scene, 500);
    expect([a.knowsGaps, a.reports, a.tails, b.reports, b.tails]).toEqual([false, 0, 0, 0, 0]);
  });
});

describe('Announcements over a path that loses them', () => {
  it.each(SEEDS)('find the other although half of them get lost, and then end (seed %i)', (seed) => {
    const scene = story(seed, 0.5);
    scene.run(400_000);
    const { a, b } = scene;
    expect([a.knowsGaps, b.knowsGaps]).toEqual([true, true]);
    const before = [a.sentDatagrams, b.sentDatagrams];
    scene.run(400_000);
    expect([a.sentDatagrams, b.sentDatagrams]).toEqual(before);
  });
});
