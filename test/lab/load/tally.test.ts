/** What the receiver of a UDP load counts, and how it is joined with what was sent. */
import { describe, expect, it } from 'vitest';
import {
  KIND,
  kindOf,
  receivedOf,
  sequenceOf,
  stepOf,
  writeAck,
  writeDatagram,
} from '../../../src/lab/load/datagram.ts';
import { Tallies } from '../../../src/lab/load/tally.ts';
import { rampOf } from '../../../src/lab/udp-load.ts';

describe('a tally', () => {
  it('counts datagrams, bytes, gaps and order, over the time from first to last', () => {
    const tallies = new Tallies();
    for (const [sequence, ms] of [
      [0, 1_000],
      [1, 1_100],
      [4, 1_200],
      [3, 1_500],
    ] as const)
      tallies.of(0)?.add(sequence, 100, ms);
    expect(tallies.all()).toEqual([{ step: 0, datagrams: 4, bytes: 400, missing: 1, late: 1, seconds: 0.5 }]);
  });
  it('keeps steps apart, and refuses numbers that no sender uses', () => {
    const tallies = new Tallies();
    tallies.of(3)?.add(0, 1, 0);
    tallies.of(1)?.add(0, 1, 0);
    tallies.of(3)?.add(1, 1, 0);
    expect(tallies.of(64)).toBeNull();
    expect(tallies.all().map(({ step, datagrams }) => [step, datagrams])).toEqual([
      [1, 1],
      [3, 2],
    ]);
  });
});

it('a ramp divides what came by the longer of the two clocks, and what never came is 0', () => {
  const sent = [
    { rate: 100, datagrams: 100, seconds: 1 },
    { rate: 0, datagrams: 1_000, seconds: 1 },
  ];
  const received = [{ step: 1, datagrams: 600, bytes: 1, missing: 0, late: 0, seconds: 1.2 }];
  expect(rampOf(sent, received)).toEqual([
    { rate: 100, offeredPerSecond: 100, deliveredPerSecond: 0 },
    { rate: 0, offeredPerSecond: 1_000, deliveredPerSecond: 500 },
  ]);
});

describe('datagrams', () => {
  const view = new DataView(new ArrayBuffer(32));
  it('say what was written', () => {
    writeDatagram(view, 4, KIND.WINDOWED, 5, 0xffff_fffe);
    expect([kindOf(view, 4, 20), stepOf(view, 4), sequenceOf(view, 4)]).toEqual([KIND.WINDOWED, 5, 0xffff_fffe]);
    writeAck(view, 4, 0, 7, 6);
    expect([kindOf(view, 4, 20), sequenceOf(view, 4), receivedOf(view, 4)]).toEqual([KIND.ACK, 7, 6]);
  });
  it('that are foreign or too short are none', () => {
    writeAck(view, 0, 0, 7, 6);
    expect(kindOf(view, 0, 15)).toBe(0);
    expect(kindOf(view, 0, 19)).toBe(0);
    view.setUint8(0, 0);
    expect(kindOf(view, 0, 20)).toBe(0);
  });
});
