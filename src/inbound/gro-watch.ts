/**
 * Notices a kernel that joins datagrams wrongly (GRO): messages that came in groups have bad tags, second after second, and
 * those that came alone have not. Looked at only when a tag was bad, which an attacker on the path can bring about too: all
 * that he gains is that datagrams come one by one for a while.
 */
import type { LaneContext } from '../lane-context.ts';
import { ENDPOINT, UDP_RECEIVE, UNSEAL } from '../native/layout.ts';
import type { InboundBatch } from './batch.ts';

const WINDOW_MS = 1_000;
const BAD_MIN = 32;
/** For each bad single message, this many grouped ones must be bad. */
const SINGLE_SHARE = 8;

export class GroWatch {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #grouped = 0;
  #single = 0;

  /** Some messages of a batch that was just unsealed have bad tags. */
  note(lane: LaneContext, batch: InboundBatch): void {
    const nowMs = lane.nowMs();
    if (nowMs - this.#sinceMs >= WINDOW_MS) this.#open(nowMs);
    let family = 0;
    for (let run = 0; run < batch.runs; run += 1) {
      const { words } = lane.arena;
      const source = batch.runSources[run] >> 2;
      const isGroup = words[source - UDP_RECEIVE.ENDPOINT + UDP_RECEIVE.SEGMENT_LENGTH] > 0;
      const messages = batch.runEnds[run] - (run === 0 ? 0 : batch.runEnds[run - 1]);
      const bad = badMessages(lane, batch, run);
      if (bad === 0) continue;
      family = words[source + ENDPOINT.FAMILY];
      if (!isGroup) this.#single += bad;
      // A group that was cut at wrong places has hardly a good message; less than half may be the path's damage.
      else if (bad * 2 > messages) this.#grouped += bad;
    }
    if (this.#grouped < BAD_MIN || this.#single * SINGLE_SHARE > this.#grouped) return;
    if (family === 4 || family === 6) lane.notify({ type: 'groMangled', family, datagrams: this.#grouped });
    this.#open(nowMs);
  }

  #open(nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#grouped = 0;
    this.#single = 0;
  }
}

function badMessages(lane: LaneContext, batch: InboundBatch, run: number): number {
  const { words, unseals } = lane.arena;
  let bad = 0;
  for (let message = run === 0 ? 0 : batch.runEnds[run - 1]; message < batch.runEnds[run]; message += 1)
    bad += words[(unseals >> 2) + message * UNSEAL.WORDS + UNSEAL.RESULT] < 0 ? 1 : 0;
  return bad;
}
