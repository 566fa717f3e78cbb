/** The gate before the control lane: what gets in, what must show a cookie, and what is dropped, in calm and under floods. */
import { beforeEach, describe, expect, it } from 'vitest';
import { InboundPath } from '../../src/inbound/receive.ts';
import { BOOKS } from '../../src/native/layout.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { CookieGenerator } from '../../src/protocol/cookie.ts';
import { decodeHandshake } from '../../src/protocol/messages.ts';
import { bytesFrom } from '../support/arbitrary-packets.ts';
import { endpointOf, FakeLane } from '../support/fake-lane.ts';
import { GATE_PUBLIC_KEY, genuine, LIVE_INDEX, openGate } from '../support/handshake-gate.ts';

/** Initiations that get in before addresses are looked at, and the budget of one address. */
const CALM = 512;
const SOURCE_BURST = 5;
const SOURCE_PER_SECOND = 20;
/** All unproven ones together. */
const UNPROVEN_BURST = 2_048;

let lane: FakeLane;
let path: InboundPath;
let gate: ReturnType<typeof openGate>;
let worthiness: boolean[];

beforeEach(() => {
  lane = new FakeLane();
  worthiness = [];
  gate = openGate(lane, (isWorthy) => {
    worthiness.push(isWorthy);
    return true;
  });
  path = new InboundPath(lane.context, gate);
});

/** Datagrams from one address, taken in; how many were handed over, answered with a cookie, and dropped without a word. */
function offer(datagrams: readonly Uint8Array[], source: Endpoint): { in: number; cookie: number; rate: number } {
  lane.reset();
  for (const datagram of datagrams) lane.arrive([datagram], source, source.family);
  while (path.turn(source.family) > 0);
  const handed = lane.events.filter((event) => event.type === 'handshake').length;
  const cookie = lane.addon.udpSends.length;
  expect(lane.count('HANDSHAKE_TX')).toBe(cookie);
  return { in: handed, cookie, rate: lane.drop('IN_HANDSHAKE_RATE') - cookie };
}

function initiations(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, at) => genuine(Uint8Array.of(1, 0, 0, 0, ...bytesFrom(at + 1, 144))));
}

function addressOf(number: number): Endpoint {
  return { ...endpointOf(0), address: Uint8Array.of(198, 18, number >> 8, number & 255) };
}

/** Time for cookies that a lane saves up at most, and what of it is kept for those that come back. */
const SAVED_MS = 100;
const KEPT_MS = 20;

/** One of millions of addresses that somebody writes into his datagrams. */
function spoofed(number: number): Endpoint {
  return { ...endpointOf(0), address: Uint8Array.of(100, (number >> 16) & 255, (number >> 8) & 255, number & 255) };
}

/** So many initiations from one address that the gate looks at addresses. */
function alarm(): void {
  offer(initiations(CALM + 100), addressOf(9));
}

/** Spends what all strangers may ask for together. */
function exhaust(): void {
  alarm();
  // Some addresses share a cell with one that was heard of just before, and are refused earlier.
  for (let refused = 0, at = 0; refused < 20; at += 1) {
    refused = offer(initiations(1), addressOf(1_000 + at)).in === 1 ? 0 : refused + 1;
    expect(at).toBeLessThan(UNPROVEN_BURST + 100);
  }
}

describe('mac1', () => {
  it('is checked before anything is handed over: with one bit wrong nothing gets in', () => {
    for (const type of [1, 2]) {
      const message = genuine(Uint8Array.of(type, 0, 0, 0, ...bytesFrom(type, type === 1 ? 144 : 88)));
      const macStart = message.length - 32;
      for (let bit = 0; bit < 128; bit += 1) {
        const forged = Uint8Array.from(message);
        forged[macStart + (bit >> 3)] ^= 1 << (bit & 7);
        expect(offer([forged], addressOf(1))).toEqual({ in: 0, cookie: 0, rate: 0 });
        expect(lane.drops()).toEqual({ IN_HANDSHAKE_BAD: 1 });
      }
      expect(offer([message], addressOf(1)).in).toBe(1);
    }
  });

  it('of another public key gets nothing in, and without a static key nothing does', () => {
    const [message] = initiations(1);
    gate.setIdentity(new Uint8Array(32).fill(9));
    offer([message], addressOf(1));
    expect(lane.drops()).toEqual({ IN_HANDSHAKE_BAD: 1 });
    gate.setIdentity(null);
    offer([message], addressOf(1));
    expect(lane.drops()).toEqual({ IN_HANDSHAKE_BAD: 1 });
  });

  it('that is wrong costs an address nothing of its budget, so that nobody can spend it for others', () => {
    alarm();
    const junk = initiations(1_000).map((message) => message.fill(0xee, 116, 132));
    expect(offer(junk, addressOf(1))).toEqual({ in: 0, cookie: 0, rate: 0 });
    expect(offer(initiations(SOURCE_BURST), addressOf(1)).in).toBe(SOURCE_BURST);
  });
});

describe('responses and cookie replies', () => {
  const response = (): Uint8Array => genuine(Uint8Array.of(2, 0, 0, 0, ...bytesFrom(1, 88)));
  const reply = (): Uint8Array => genuine(Uint8Array.of(3, 0, 0, 0, ...bytesFrom(2, 60)));

  it('get in when their receiver index is in use, and at no other', () => {
    expect(offer([response(), reply()], addressOf(1)).in).toBe(2);
    const other = reply();
    new DataView(other.buffer).setInt32(4, LIVE_INDEX ^ 1, true);
    offer([other], addressOf(1));
    expect(lane.drops()).toEqual({ IN_HANDSHAKE_BAD: 1 });
  });

  it('that are repeated are held to the rate of their address, which is not that of initiations', () => {
    expect(offer(Array.from({ length: 1_000 }, response), addressOf(1))).toEqual({ in: 5, cookie: 0, rate: 995 });
    expect(offer(Array.from({ length: 1_000 }, reply), addressOf(2))).toEqual({ in: 5, cookie: 0, rate: 995 });
    expect(offer(initiations(100), addressOf(1)).in).toBe(100);
  });
});

describe('initiations', () => {
  it('of a crowd behind one address all get in, while they are not too many', () => {
    expect(offer(initiations(CALM), addressOf(1))).toEqual({ in: CALM, cookie: 0, rate: 0 });
  });

  it('of a flood from one address leave everybody else unharmed', () => {
    const flood = offer(initiations(5_000), addressOf(1));
    expect(flood.in).toBe(CALM + SOURCE_BURST);
    expect(flood.cookie).toBeLessThanOrEqual(20);
    expect(flood.in + flood.cookie + flood.rate).toBe(5_000);
    for (let other = 2; other < 100; other += 1)
      expect(offer(initiations(1), addressOf(other)), `address ${other}`).toEqual({ in: 1, cookie: 0, rate: 0 });
  });

  it('of a flood that goes on get in at twenty a second, and all do again when it has ended', () => {
    alarm();
    let taken = 0;
    for (let second = 0; second < 10; second += 1)
      for (let tenth = 0; tenth < 10; tenth += 1) {
        lane.addon.nowMs += 100;
        taken += offer(initiations(200), addressOf(9)).in;
      }
    expect(taken).toBeGreaterThanOrEqual(10 * SOURCE_PER_SECOND - 1);
    expect(taken).toBeLessThanOrEqual(10 * SOURCE_PER_SECOND + SOURCE_BURST);
    lane.addon.nowMs += 3_000;
    expect(offer(initiations(500), addressOf(9)).in).toBe(500);
  });

  it('from very many addresses must show a cookie, which each is given that was not heard of lately', () => {
    exhaust();
    const outcomes = Array.from({ length: 1_000 }, (_, at) => offer(initiations(1), addressOf(10_000 + at)));
    expect(outcomes.filter((outcome) => outcome.in === 1).length).toBe(0);
    expect(outcomes.filter(({ cookie }) => cookie === 1).length).toBeGreaterThan(990);
  });

  it('from ever new addresses leave nobody without a cookie', () => {
    exhaust();
    // At 50,000 a second; each second somebody else knocks, once.
    const [message] = initiations(1);
    for (let step = 0; step < 400; step += 1) {
      lane.addon.nowMs += 10;
      for (let at = 0; at < 500; at += 1) lane.arrive([message], spoofed(step * 500 + at));
      while (path.turn(4) > 0);
      lane.reset();
      if (step % 100 === 99) expect(offer(initiations(1), addressOf(step)).cookie, `after ${step} steps`).toBe(1);
    }
  });

  it.each([
    ['busy', 0],
    ['half asleep', 0.5],
  ])('from ever new addresses get answers in a share of the time of a lane that is %s', (_, asleep) => {
    exhaust();
    const costMs = 0.01;
    const [message] = initiations(1);
    const fromMs = lane.addon.nowMs;
    let cookies = 0;
    for (let step = 0; step < 200; step += 1) {
      lane.addon.nowMs += 1;
      lane.addon.books[BOOKS.SLEEP_NS] += asleep * 1e6;
      lane.addon.sendErrno = () => {
        lane.addon.nowMs += costMs;
        return 0;
      };
      for (let at = 0; at < 300; at += 1) lane.arrive([message], spoofed(step * 300 + at));
      while (path.turn(4) > 0);
      cookies += lane.addon.udpSends.length;
      lane.reset();
    }
    const allowedMs = SAVED_MS - KEPT_MS + 0.08 * (lane.addon.nowMs - fromMs) + 0.1 * 200 * asleep;
    expect(cookies * costMs).toBeGreaterThan(0.9 * allowedMs);
    expect(cookies * costMs).toBeLessThan(allowedMs + 128 * costMs);
  });

  it('from ever new addresses leave time to answer one that comes back when a retry is due, and not before', () => {
    exhaust();
    const [message] = initiations(1);
    let flooded = 0;
    /** More than there is time for. */
    const flood = (ms: number): void => {
      for (const untilMs = lane.addon.nowMs + ms; lane.addon.nowMs < untilMs; ) {
        lane.reset();
        lane.addon.sendErrno = () => {
          lane.addon.nowMs += 0.2;
          return 0;
        };
        lane.addon.nowMs += 20;
        for (let at = 0; at < 60; at += 1, flooded += 1) lane.arrive([message], spoofed(flooded));
        while (path.turn(4) > 0);
      }
    };
    const isAnswered = (from: Endpoint): boolean => offer(initiations(1), from).cookie === 1;
    /** Of what strangers may ask for one or two have come free since the flood's last. */
    const spendRest = (): unknown =>
      offer(initiations(1), addressOf(flooded)) && offer(initiations(1), addressOf(flooded + 1));
    flood(1_000);
    spendRest();
    const knocking = Array.from({ length: 5 }, (_, at) => addressOf(500 + at));
    expect(knocking.map(isAnswered)).toEqual(knocking.map(() => false));
    flood(5_000);
    spendRest();
    expect(knocking.map(isAnswered)).toEqual(knocking.map(() => true));
    expect(isAnswered(addressOf(600))).toBe(false);
  });

  it('of very many addresses that repeat themselves leave room for one that was not heard of lately', () => {
    exhaust();
    for (let tenth = 0; tenth < 30; tenth += 1) {
      lane.addon.nowMs += 100;
      for (let at = 0; at < 200; at += 1) offer(initiations(1), addressOf(1_000 + at));
    }
    expect(offer(initiations(1), addressOf(1_000)).in).toBe(0);
    const fresh = Array.from({ length: 100 }, (_, other) => offer(initiations(1), addressOf(30_000 + other)).in);
    // One in a hundred shares its budget with an address of the flood.
    expect(fresh.filter((taken) => taken === 1).length).toBeGreaterThan(90);
  });

  it('from where a peer is known to be get in also then', () => {
    const home = addressOf(77);
    lane.addPeer(0, home);
    exhaust();
    lane.addon.nowMs += 5_000;
    exhaust();
    expect(offer(initiations(1), home)).toEqual({ in: 1, cookie: 0, rate: 0 });
    expect(offer(initiations(1), addressOf(78)).in).toBe(0);
  });

  it('of one IPv6 network share its budget, wherever in its /64 they come from', () => {
    alarm();
    const host = (network: number, number: number): Endpoint => ({
      ...endpointOf(0),
      family: 6,
      address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, number),
    });
    const taken = (network: number): number =>
      Array.from({ length: 50 }, (_, number) => offer(initiations(1), host(network, number)).in).reduce(
        (a, b) => a + b,
      );
    expect(taken(1)).toBe(SOURCE_BURST);
    expect(taken(2)).toBe(SOURCE_BURST);
  });

  it('of strangers leave a part of the queue to those who are none', () => {
    lane.addPeer(0, addressOf(77));
    alarm();
    worthiness.length = 0;
    offer(initiations(1), addressOf(20_000));
    offer(initiations(1), addressOf(77));
    expect(worthiness).toEqual([false, true]);
  });

  it('of a device with several lanes share its budgets', () => {
    gate = openGate(lane, () => true, 8);
    path = new InboundPath(lane.context, gate);
    // Below an eighth of 2,048 each lane is calm up to a quarter of that; then an address has two at once.
    expect(offer(initiations(1_000), addressOf(1)).in).toBe(UNPROVEN_BURST / 8 / 4 + 2);
    const taken = Array.from({ length: 1_000 }, (_, at) => offer(initiations(1), addressOf(1_000 + at)).in);
    expect(taken.filter((one) => one === 1).length).toBe(UNPROVEN_BURST / 8 - 2);
  });
});

describe('a cookie', () => {
  const home = addressOf(123);

  /** Makes initiations of somebody who sent one from there, was answered, and so has a cookie. Strangers must wait from then on. */
  function proven(from: Endpoint): () => Uint8Array {
    const generator = new CookieGenerator(GATE_PUBLIC_KEY, WIREGUARD_TIMING);
    const stamped = (): Uint8Array => {
      const [message] = initiations(1);
      generator.stamp(message, lane.addon.nowMs);
      return message;
    };
    exhaust();
    const first = stamped();
    expect(offer([first], from)).toEqual({ in: 0, cookie: 1, rate: 0 });
    const [sent] = lane.addon.udpSends;
    expect(sent.endpoint).toEqual(from);
    expect(sent.trafficClass).toBe(0x88);
    const reply = decodeHandshake(sent.datagrams[0]);
    if (reply?.type !== 3) throw new Error('expected a cookie reply');
    expect(reply.receiver).toBe(new DataView(first.buffer).getInt32(4, true));
    expect(generator.consume(reply, lane.addon.nowMs)).toBe('taken');
    return stamped;
  }

  it('gets its bearer in, at the rate of an address, when strangers must wait', () => {
    const stamped = proven(home);
    expect(offer(Array.from({ length: 100 }, stamped), home).in).toBe(SOURCE_BURST);
  });

  it('in IPv6 does the same', () => {
    const there: Endpoint = { ...home, family: 6, address: bytesFrom(8, 16) };
    const stamped = proven(there);
    expect(offer([stamped()], there).in).toBe(1);
  });

  it('is bound to address and port, and to 120 s', () => {
    const stamped = proven(home);
    expect(offer([stamped()], { ...home, port: home.port + 1 }).in).toBe(0);
    expect(offer([stamped()], addressOf(124)).in).toBe(0);
    expect(offer([stamped()], home).in).toBe(1);
    lane.addon.nowMs += 114_000;
    exhaust();
    expect(offer([stamped()], home).in).toBe(1);
    lane.addon.nowMs += 5_999;
    exhaust();
    const last = stamped();
    expect(offer([last], home).in).toBe(0);
  });

  it("cannot be had used up by others: forged messages in its bearer's name do not count for it", () => {
    const stamped = proven(home);
    lane.addon.nowMs += 5_000;
    exhaust();
    lane.addon.nowMs += 100;
    const forged = initiations(500).map((message, at) => {
      message.set(bytesFrom(at + 1, 16), 132);
      return message;
    });
    expect(offer([...initiations(500), ...forged], home).in).toBeLessThanOrEqual(SOURCE_BURST);
    expect(offer([stamped()], home).in).toBe(1);
  });

  it('counts no more when our key has changed, and is of use only then if it is ours', () => {
    const stamped = proven(home);
    gate.setIdentity(new Uint8Array(32).fill(1));
    expect(offer([stamped()], home).in).toBe(0);
    gate.setIdentity(GATE_PUBLIC_KEY);
    exhaust();
    expect(offer([stamped()], home).in).toBe(0);
  });

  it('is another one from another lane, whose secret is its own', () => {
    const stamped = proven(home);
    gate = openGate(lane);
    path = new InboundPath(lane.context, gate);
    exhaust();
    expect(offer([stamped()], home).in).toBe(0);
  });

  it('that the kernel takes no more of is a counted drop', () => {
    exhaust();
    lane.reset();
    lane.addon.sendErrno = () => 11;
    for (let at = 0; at < 3; at += 1) lane.arrive(initiations(1), addressOf(40_000 + at));
    lane.arrive(initiations(1), { ...addressOf(40_003), port: 9 });
    while (path.turn(4) > 0);
    expect(lane.drops()).toEqual({ IN_HANDSHAKE_RATE: 4, OUT_SEND_FULL: 4 });
    expect(lane.count('HANDSHAKE_TX')).toBe(0);
  });
});
