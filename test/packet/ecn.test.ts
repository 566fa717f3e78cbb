/** Congestion notification across a tunnel: the tables of RFC 6040, and the change of an inner header. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ECN, ECN_DROP, ecnOf, innerEcn, isSignal, outerTrafficClass, setEcn } from '../../src/packet/ecn.ts';
import { onesSum, sumsToZero } from '../reference/internet-checksum.ts';
import { encodePacket, type Packet } from '../reference/ip.ts';
import { anyPackets } from '../support/arbitrary-packets.ts';

const { NOT_ECT, ECT_1, ECT_0, CE } = ECN;

/** Codepoint of a packet as the RFCs draw it: the lower bits of the second byte, or bits 10 and 11 of an IPv6 header. */
function drawnEcn(bytes: Uint8Array): number {
  return bytes[0] >> 4 === 4 ? bytes[1] & 3 : (bytes[1] >> 4) & 3;
}

function withEcn(packet: Packet, ecn: number): Packet {
  return { ...packet, ip: { ...packet.ip, trafficClass: (packet.ip.trafficClass & 0xfc) | ecn } };
}

describe('Decapsulation', () => {
  // RFC 6040, section 4.2, figure 4: rows are inner codepoints, columns outer ones.
  const outers = [NOT_ECT, ECT_0, ECT_1, CE];
  const table: readonly (readonly [inner: number, after: readonly number[]])[] = [
    [NOT_ECT, [NOT_ECT, NOT_ECT, NOT_ECT, ECN_DROP]],
    [ECT_0, [ECT_0, ECT_0, ECT_1, CE]],
    [ECT_1, [ECT_1, ECT_1, ECT_1, CE]],
    [CE, [CE, CE, CE, CE]],
  ];

  it.each(table)('of inner codepoint %i follows its row of RFC 6040, figure 4', (inner, after) => {
    expect(outers.map((outer) => innerEcn(outer, inner))).toEqual(after);
  });

  it('has nothing to do where the outer class is no signal, whatever its DSCP', () => {
    for (let trafficClass = -1; trafficClass < 256; trafficClass += 1) {
      const rows = trafficClass < 0 ? [NOT_ECT] : [trafficClass & 3];
      const changes = rows.some((outer) => table.some(([inner]) => innerEcn(outer, inner) !== inner));
      expect(isSignal(trafficClass)).toBe(changes);
    }
  });
});

describe('Encapsulation', () => {
  it('copies the codepoint (RFC 6040, section 4.1, normal mode) and no DSCP; none leaves the class to the socket', () => {
    fc.assert(
      fc.property(anyPackets(0, 100), (packet) => {
        const bytes = encodePacket(packet);
        const ecn = ecnOf((bytes[0] << 8) | bytes[1]);
        expect(ecn).toBe(packet.ip.trafficClass & 3);
        expect(outerTrafficClass(ecn)).toBe(ecn === NOT_ECT ? -1 : ecn);
      }),
    );
  });
});

describe('A codepoint that is written', () => {
  it('changes nothing else but the IPv4 checksum, which stays good, and the sum follows', () => {
    fc.assert(
      fc.property(anyPackets(0, 100), fc.nat(3), (packet, ecn) => {
        const bytes = encodePacket(packet);
        const sum = setEcn(new DataView(bytes.buffer), 0, ecn, onesSum(bytes));
        expect(drawnEcn(bytes)).toBe(ecn);
        expect(sum).toBe(onesSum(bytes));
        const expected = encodePacket(withEcn(packet, ecn));
        if (packet.ip.version === 4) {
          expect(sumsToZero(bytes.slice(0, (bytes[0] & 15) * 4))).toBe(true);
          bytes.set(expected.subarray(10, 12), 10);
        }
        expect(Buffer.compare(bytes, expected)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('leaves a wrong IPv4 checksum as wrong as it was', () => {
    fc.assert(
      fc.property(anyPackets(0, 20), fc.nat(3), fc.integer({ min: 1, max: 0xfffe }), (packet, ecn, error) => {
        fc.pre(packet.ip.version === 4);
        const bytes = encodePacket(packet);
        const view = new DataView(bytes.buffer);
        view.setUint16(10, onesSum(Uint8Array.of(bytes[10], bytes[11], error >> 8, error & 0xff)));
        const header = bytes.subarray(0, (bytes[0] & 15) * 4);
        const before = onesSum(header);
        fc.pre(before !== 0xffff);
        setEcn(view, 0, ecn, onesSum(bytes));
        expect(onesSum(header) % 0xffff).toBe(before % 0xffff);
      }),
    );
  });
});
