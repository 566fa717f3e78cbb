/** One initiation at several endpoints: when which copy is due. */
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { COPIES_MAX, SideBySide } from '../../src/protocol/side-by-side.ts';

const MESSAGE = new Uint8Array(148);

function at(host: number, port = 1): Endpoint {
  const address = Uint8Array.of(192, 0, 2, host);
  return { family: 4, address, port, scope: 0, localAddress: null, localInterface: 0 };
}

/** Which endpoints it gives at a moment, by host. */
function taken(copies: SideBySide, nowMs: number): (number | undefined)[] {
  const hosts = [];
  for (let to = copies.take(nowMs); to !== null; to = copies.take(nowMs)) hosts.push(to.address[3]);
  return hosts;
}

describe('copies of an initiation', () => {
  it('leave one by one, 250 ms apart, the first at once', () => {
    const copies = new SideBySide(MESSAGE);
    copies.add([at(1), at(2), at(3)]);
    expect(taken(copies, 1_000)).toEqual([1]);
    expect(copies.dueMs).toBe(1_250);
    expect(taken(copies, 1_249)).toEqual([]);
    expect(taken(copies, 1_250)).toEqual([2]);
    expect(taken(copies, 9_000)).toEqual([3]);
    expect(copies.dueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('wait for none that could not be sent', () => {
    const copies = new SideBySide(MESSAGE);
    copies.add([at(1), at(2)]);
    copies.take(1_000);
    copies.refused();
    expect(taken(copies, 1_000)).toEqual([2]);
  });

  it('are four at most, and one for each endpoint', () => {
    const copies = new SideBySide(MESSAGE);
    copies.add([at(1), at(1), at(2), { ...at(1), localAddress: Uint8Array.of(10, 0, 0, 1) }, at(1, 2)]);
    copies.add([at(5), at(6), at(7)]);
    let count = 0;
    for (let nowMs = 0; nowMs < 10_000; nowMs += 250) count += taken(copies, nowMs).length;
    expect([count, COPIES_MAX]).toEqual([4, 4]);
  });

  it('go to an endpoint that is found later at once, if the last one left long enough ago', () => {
    const copies = new SideBySide(MESSAGE);
    copies.add([at(1)]);
    expect(taken(copies, 1_000)).toEqual([1]);
    expect(copies.dueMs).toBe(Number.POSITIVE_INFINITY);
    copies.add([at(1), at(9)]);
    expect(taken(copies, 1_100)).toEqual([]);
    expect(copies.dueMs).toBe(1_250);
    expect(taken(copies, 1_250)).toEqual([9]);
  });

  it('without an endpoint are none', () => {
    const copies = new SideBySide(MESSAGE);
    expect([copies.take(0), copies.dueMs]).toEqual([null, Number.POSITIVE_INFINITY]);
  });
});
