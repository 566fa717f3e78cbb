/**
 * Coalescing over random interleavings: what is written, cut again by a slow twin of the kernel's segmentation, is what
 * came in, flow by flow, byte for byte. And what the rules allow to be merged is merged.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isMergeable, mayFollow, RUN_PACKETS_MAX } from '../reference/coalesce.ts';
import { encodeIp, encodePacket, encodeTcp, type IpHeader, TCP_PROTOCOL, type TcpPacket } from '../reference/ip.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader, udpPacketBytes } from '../support/arbitrary-packets.ts';
import { Coalescing } from '../support/coalescing.ts';
import { packetsOf, withoutId } from '../support/tun-writes.ts';

/** A packet on its way in: its bytes, its flow (negative for UDP), and how it reads if it is good TCP. */
interface Incoming {
  readonly flow: number;
  readonly bytes: Uint8Array;
  readonly tcp: TcpPacket | null;
}

/** One step of a flow: what the next segment has that is not simply the continuation of the last. */
interface Step {
  readonly change: (typeof CHANGES)[number];
  readonly payload: number;
}

const CHANGES = [
  'none',
  'push',
  'fin',
  'syn',
  'reset',
  'urgent',
  'cwr',
  'ece',
  'noAck',
  'window',
  'acknowledgement',
  'reserved',
  'options',
  'optionBytes',
  'gap',
  'repeat',
  'idJump',
  'hopLimit',
  'trafficClass',
  'dontFragment',
  'flowLabel',
  'badChecksum',
  'badHeader',
] as const;
const FLAGS: Readonly<Record<string, number>> = {
  push: 0x18,
  fin: 0x11,
  syn: 0x12,
  reset: 0x14,
  urgent: 0x30,
  cwr: 0x90,
  ece: 0x50,
  noAck: 0,
};

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    change: fc.oneof({ weight: 5, arbitrary: fc.constant('none' as const) }, fc.constantFrom(...CHANGES)),
    payload: fc.oneof({ weight: 6, arbitrary: fc.constant(100) }, fc.constantFrom(99, 101, 1, 0)),
  }),
  { maxLength: 20 },
);

interface FlowPlan {
  readonly isIpv4: boolean;
  readonly idStep: 0 | 1;
  readonly optionBytes: number;
  readonly sequence: number;
  readonly id: number;
  readonly steps: readonly Step[];
}

const flowPlans: fc.Arbitrary<FlowPlan> = fc.record({
  isIpv4: fc.boolean(),
  idStep: fc.constantFrom(0, 1),
  optionBytes: fc.constantFrom(0, 12),
  sequence: fc.oneof(fc.nat(), fc.integer({ min: 2 ** 32 - 1_000, max: 2 ** 32 - 1 })),
  id: fc.constantFrom(0, 65_530),
  steps,
});

/** The segments of one flow, in order. What a change changes stays changed, flags excepted. */
function flowOf(plan: FlowPlan, flow: number): Incoming[] {
  let ip: IpHeader = { ...(plan.isIpv4 ? ipv4Header(flow, 9) : ipv6Header(flow, 9)), id: plan.id };
  let tcp = tcpHeader({ sourcePort: 1_000 + flow, sequence: plan.sequence, options: new Uint8Array(plan.optionBytes) });
  return plan.steps.map(({ change, payload: length }, index) => {
    ({ ip, tcp } = changed(ip, tcp, change));
    const payload = bytesFrom(flow * 100 + index + 1, length);
    const packet: TcpPacket = { kind: 'tcp', ip, tcp: { ...tcp, flags: FLAGS[change] ?? 0x10 }, payload };
    const bytes = encodeChanged(packet, change);
    ip = { ...ip, id: (ip.id + plan.idStep) % 65_536 };
    tcp = { ...tcp, sequence: (tcp.sequence + length) % 2 ** 32 };
    return { flow, bytes, tcp: change === 'badChecksum' || change === 'badHeader' ? null : packet };
  });
}

function changed(ip: IpHeader, tcp: TcpPacket['tcp'], change: Step['change']): Pick<TcpPacket, 'ip' | 'tcp'> {
  const isIpv4 = ip.version === 4;
  if (change === 'window') return { ip, tcp: { ...tcp, window: tcp.window + 1 } };
  if (change === 'acknowledgement') return { ip, tcp: { ...tcp, acknowledgement: tcp.acknowledgement + 1 } };
  if (change === 'reserved') return { ip, tcp: { ...tcp, reserved: tcp.reserved ^ 1 } };
  if (change === 'options') return { ip, tcp: { ...tcp, options: new Uint8Array((tcp.options.length + 4) % 40) } };
  if (change === 'optionBytes') return { ip, tcp: { ...tcp, options: tcp.options.map((byte) => byte + 1) } };
  if (change === 'gap') return { ip, tcp: { ...tcp, sequence: (tcp.sequence + 1) % 2 ** 32 } };
  if (change === 'repeat') return { ip, tcp: { ...tcp, sequence: (tcp.sequence + 2 ** 32 - 100) % 2 ** 32 } };
  if (change === 'hopLimit') return { ip: { ...ip, hopLimit: ip.hopLimit - 1 }, tcp };
  if (change === 'trafficClass') return { ip: { ...ip, trafficClass: ip.trafficClass ^ 3 }, tcp };
  if (change === 'idJump' && isIpv4) return { ip: { ...ip, id: (ip.id + 7) % 65_536 }, tcp };
  if (change === 'dontFragment' && isIpv4) return { ip: { ...ip, dontFragment: !ip.dontFragment }, tcp };
  if (change === 'flowLabel' && !isIpv4) return { ip: { ...ip, flowLabel: ip.flowLabel + 1 }, tcp };
  return { ip, tcp };
}

function encodeChanged(packet: TcpPacket, change: Step['change']): Uint8Array {
  const bytes = encodePacket(packet);
  if (change === 'badChecksum') return encodeIp(packet.ip, TCP_PROTOCOL, encodeTcp(packet, 0x1234));
  // IPv6 headers have no checksum: there the last byte of the packet is wrong.
  if (change === 'badHeader') bytes[packet.ip.version === 4 ? 8 : bytes.length - 1] ^= 1;
  return bytes;
}

/** UDP datagrams of up to four senders; many have equal lengths. */
const udpFlows: fc.Arbitrary<Incoming[][]> = fc
  .array(
    fc.record({
      from: fc.nat(3),
      length: fc.oneof(fc.constant(80), fc.integer({ min: 28, max: 200 })),
      seed: fc.nat(9),
    }),
    { maxLength: 12 },
  )
  .map((datagrams) =>
    [0, 1, 2, 3].map((from) =>
      datagrams
        .filter((datagram) => datagram.from === from)
        .map(({ length, seed }) => ({ flow: -1 - from, bytes: udpPacketBytes(from, 9, length, seed), tcp: null })),
    ),
  );

/** Deals the packets of all flows into one sequence; each flow keeps its order. */
function interleave(flows: readonly (readonly Incoming[])[], order: readonly number[]): Incoming[] {
  const left = flows.map((flow) => [...flow]);
  const dealt: Incoming[] = [];
  for (let turn = 0; left.some((flow) => flow.length > 0); turn += 1) {
    const open = left.filter((flow) => flow.length > 0);
    const next = open[order[turn % order.length] % open.length].shift();
    if (next !== undefined) dealt.push(next);
  }
  return dealt;
}

function flowKey(packet: Uint8Array): number {
  const isIpv4 = packet[0] >> 4 === 4;
  if (packet[isIpv4 ? 9 : 6] !== TCP_PROTOCOL) return -1 - packet[15];
  const at = isIpv4 ? 20 : 40;
  return packet[at] * 256 + packet[at + 1] - 1_000;
}

const interleavings = fc
  .record({
    plans: fc.array(flowPlans, { minLength: 1, maxLength: 5 }),
    udpFlows,
    order: fc.array(fc.nat(10), { minLength: 1, maxLength: 30 }),
  })
  .map(({ plans, udpFlows: udp, order }) => {
    const flows = [...plans.map((plan, flow) => flowOf(plan, flow)), ...udp];
    return { incoming: interleave(flows, order), tcpKeys: [...plans.keys()], udpKeys: [-1, -2, -3, -4] };
  });

describe('coalescing', () => {
  const coalescing = new Coalescing();
  const coalescingUdp = new Coalescing(true);

  it('writes what came in, flow by flow in order, byte for byte when the kernel cuts it again', () => {
    fc.assert(
      fc.property(interleavings, ({ incoming, tcpKeys, udpKeys }) => {
        for (const each of [coalescing, coalescingUdp]) {
          const written = each.take(incoming.map(({ bytes }) => bytes)).flatMap(packetsOf);
          expect(written.length).toBe(incoming.length);
          for (const key of [...tcpKeys, ...udpKeys]) expectFlow(key, incoming, written);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('merges what the rules allow and nothing else', () => {
    fc.assert(
      fc.property(interleavings, ({ incoming, tcpKeys }) => {
        const writes = coalescing.take(incoming.map(({ bytes }) => bytes));
        for (const key of tcpKeys) {
          const came = incoming.filter(({ flow }) => flow === key);
          const own = writes.filter((write) => flowKey(write.packet) === key);
          expectRuns(own.map(({ packets }) => came.splice(0, packets)));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('counts each packet, its bytes, and those that were merged', () => {
    fc.assert(
      fc.property(interleavings, ({ incoming }) => {
        const writes = coalescing.take(incoming.map(({ bytes }) => bytes));
        const { lane } = coalescing;
        const merged = writes.filter(({ packets }) => packets > 1).reduce((sum, { packets }) => sum + packets, 0);
        expect(lane.count('TUN_TX')).toBe(incoming.length);
        expect(lane.count('TUN_TX_BYTES')).toBe(incoming.reduce((sum, { bytes }) => sum + bytes.length, 0));
        expect(lane.count('COALESCED')).toBe(merged);
        expect(lane.drops()).toEqual({});
      }),
      { numRuns: 60 },
    );
  });

  it('keeps the order of each of more flows than it has runs for', () => {
    const flows = Array.from({ length: 40 }, (_, flow) =>
      flowOf({ isIpv4: flow % 2 === 0, idStep: 1, optionBytes: 0, sequence: 7, id: 0, steps: bulk(8) }, flow),
    );
    const dealt = interleave(flows, [0, 3, 5, 1, 7]);
    const written = coalescing.take(dealt.map(({ bytes }) => bytes)).flatMap(packetsOf);
    for (const [flow, packets] of flows.entries()) {
      const went = written.filter((packet) => flowKey(packet) === flow);
      expect(went.map((packet, index) => Buffer.compare(withoutId(packet), withoutId(packets[index].bytes)))).toEqual(
        packets.map(() => 0),
      );
    }
  });

  it('makes UDP datagrams of equal length one write per sender where the TUN takes that, 64 at most', () => {
    const datagrams = Array.from({ length: 140 }, (_, index) => udpPacketBytes(index % 2, 9, 80, index));
    expect(coalescingUdp.take(datagrams).map(({ packets }) => packets)).toEqual([64, 64, 6, 6]);
    expect(coalescing.take(datagrams).map(({ packets }) => packets)).toEqual(datagrams.map(() => 1));
  });

  it('writes TCP packet by packet where that is switched off, and UDP in runs all the same', () => {
    const withoutTcp = new Coalescing(true);
    withoutTcp.lane.context.superKinds.tcp4 = false;
    const flow = { isIpv4: true, idStep: 1, optionBytes: 0, sequence: 7, id: 0, steps: bulk(5) } as const;
    const tcp = flowOf(flow, 0).map(({ bytes }) => bytes);
    const datagrams = Array.from({ length: 5 }, (_, index) => udpPacketBytes(1, 9, 80, index));
    const writes = withoutTcp.take([...tcp, ...datagrams]);
    expect(writes.map(({ packets }) => packets)).toEqual([1, 1, 1, 1, 1, 5]);
    expect(writes.slice(0, 5).map(({ packet }) => packet)).toEqual(tcp);
  });

  it('makes bulk traffic of several flows one write per flow', () => {
    const flows = [0, 1, 2, 3].map((flow) =>
      flowOf({ isIpv4: flow < 2, idStep: 1, optionBytes: 12, sequence: 1, id: 65_530, steps: bulk(20) }, flow),
    );
    const writes = coalescing.take(interleave(flows, [0, 1, 2, 3]).map(({ bytes }) => bytes));
    expect(writes.map(({ packets }) => packets)).toEqual([20, 20, 20, 20]);
  });
});

/** The packets of a flow must have been written in their order, byte for byte. */
function expectFlow(key: number, incoming: readonly Incoming[], written: readonly Uint8Array[]): void {
  const came = incoming.filter(({ flow }) => flow === key);
  const went = written.filter((packet) => flowKey(packet) === key);
  expect(went.length).toBe(came.length);
  for (const [index, { bytes, tcp }] of came.entries()) {
    // With DF (as all UDP here) the id is never read (RFC 6864), and the kernel numbers the segments of a super-packet anew.
    const isAtomic = key < 0 || tcp?.ip.dontFragment === true;
    const form = isAtomic ? withoutId : (packet: Uint8Array): Uint8Array => packet;
    expect(Buffer.compare(form(went[index]), form(bytes)), `packet ${index} of flow ${key}`).toBe(0);
  }
}

/** Each run must be allowed by the rules, and must not have been allowed to take the packet that follows it. */
function expectRuns(runs: readonly (readonly Incoming[])[]): void {
  for (const [index, run] of runs.entries()) {
    const packets = run.flatMap(({ tcp }) => tcp ?? []);
    if (run.length > 1) expect(packets.length, 'only packets with good checksums are merged').toBe(run.length);
    for (let position = 1; position < packets.length && run.length > 1; position += 1)
      expect(mayFollow(packets.slice(0, position), packets[position]), `position ${position} of run ${index}`).toBe(
        true,
      );
    const next = runs[index + 1]?.[0].tcp ?? null;
    if (next === null || packets.length !== run.length || !packets.every(isMergeable)) continue;
    expect(run.length < RUN_PACKETS_MAX && mayFollow(packets, next), `run ${index} could have gone on`).toBe(false);
  }
}

function bulk(count: number): Step[] {
  return Array.from({ length: count }, () => ({ change: 'none', payload: 100 }));
}
