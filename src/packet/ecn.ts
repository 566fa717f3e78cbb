/**
 * Explicit congestion notification of a tunnel: what the two bits of the outer and of the inner IP header mean for each
 * other (RFC 6040). Outbound, the outer header takes the inner codepoint (4.1, normal mode); inbound, what a router did to
 * the outer one is carried into the inner packet (4.2). Of the traffic class nothing else crosses: the DSCP of data is 0.
 */
import { foldSmallSum, IPV4 } from './ip-header.ts';

/** Codepoints (RFC 3168, section 5): the lower two bits of a traffic class. */
export const ECN = { NOT_ECT: 0, ECT_1: 1, ECT_0: 2, CE: 3 } as const;

/** What `innerEcn` returns for a packet that must be dropped. */
export const ECN_DROP = -1;

const ECN_MASK = 3;
/** IPv6 has the traffic class in bits 4 to 11 of its first half-word, IPv4 in its second byte. */
const IPV6_SHIFT = 4;

/** ECN codepoint of an IP header whose first half-word is this. */
export function ecnOf(firstHalf: number): number {
  return (firstHalf >>> 12 === 4 ? firstHalf : firstHalf >>> IPV6_SHIFT) & ECN_MASK;
}

/** Outer traffic class of a datagram whose inner packet has this codepoint, as a UDP_SEND descriptor has it: -1 for 0, the socket's own. */
export function outerTrafficClass(inner: number): number {
  return inner === ECN.NOT_ECT ? -1 : inner;
}

/** Whether an outer traffic class (0 to 255, -1 if unknown) may change an inner packet: ECT(1) and CE may. */
export function isSignal(trafficClass: number): boolean {
  return trafficClass > 0 && (trafficClass & 1) !== 0;
}

/**
 * Codepoint that an inner packet leaves the tunnel with, or ECN_DROP: a sender that does not know ECN is told of congestion
 * by a loss (RFC 6040, section 4.2, figure 4).
 */
export function innerEcn(outer: number, inner: number): number {
  if (inner === ECN.NOT_ECT) return outer === ECN.CE ? ECN_DROP : inner;
  if (outer === ECN.CE) return outer;
  return outer === ECN.ECT_1 && inner === ECN.ECT_0 ? outer : inner;
}

/**
 * Writes a codepoint into the IP header at `ip` (version 4 or 6, at least 20 bytes) and keeps an IPv4 header's checksum as good
 * or bad as it was (RFC 1624).
 *
 * @param sum folded ones' complement sum of all of the packet's 16-bit words and its padding
 * @returns the same sum after the change, 0 to 65,535
 */
export function setEcn(view: DataView, ip: number, ecn: number, sum: number): number {
  const before = view.getUint16(ip);
  const isIpv4 = before >>> 12 === 4;
  const shift = isIpv4 ? 0 : IPV6_SHIFT;
  const after = (before & ~(ECN_MASK << shift)) | (ecn << shift);
  view.setUint16(ip, after);
  const change = after + (~before & 0xffff);
  if (!isIpv4) return foldSmallSum(sum + change);
  const checksum = view.getUint16(ip + IPV4.CHECKSUM);
  // HC' = ~(~HC + ~m + m'). The header's sum, and so the packet's, stays what it was.
  view.setUint16(ip + IPV4.CHECKSUM, ~foldSmallSum((~checksum & 0xffff) + change) & 0xffff);
  return sum;
}

/** DSCP of an IP header whose first half-word is this, or -1 for what is neither IPv4 nor IPv6. */
export function dscpOf(firstHalf: number): number {
  const version = firstHalf >>> 12;
  if (version !== 4 && version !== 6) return -1;
  return ((version === 4 ? firstHalf : firstHalf >>> IPV6_SHIFT) & 0xff) >>> 2;
}
