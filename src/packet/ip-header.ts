/**
 * Field offsets of IPv4 (RFC 791), IPv6 (RFC 8200), TCP (RFC 9293) and UDP (RFC 768), and the internet checksum
 * (RFC 1071) over headers. Sums are ones' complement sums of big-endian 16-bit words, unfolded unless said otherwise.
 */

export const IPV4 = {
  HEADER_LENGTH_MIN: 20,
  TRAFFIC_CLASS: 1,
  TOTAL_LENGTH: 2,
  ID: 4,
  FRAGMENT: 6,
  TTL: 8,
  PROTOCOL: 9,
  CHECKSUM: 10,
  SOURCE: 12,
  DESTINATION: 16,
  DONT_FRAGMENT: 0x4000,
  /** More-fragments bit and fragment offset: not zero in a fragment. */
  FRAGMENT_MASK: 0x3fff,
} as const;

export const IPV6 = {
  HEADER_LENGTH: 40,
  PAYLOAD_LENGTH: 4,
  NEXT_HEADER: 6,
  HOP_LIMIT: 7,
  SOURCE: 8,
  DESTINATION: 24,
} as const;

export const TCP = {
  HEADER_LENGTH_MIN: 20,
  PORTS: 0,
  SEQUENCE: 4,
  ACKNOWLEDGEMENT: 8,
  DATA_OFFSET: 12,
  FLAGS: 13,
  CHECKSUM: 16,
  OPTIONS: 20,
} as const;

/** TCP flag bits. */
export const FLAG = { FIN: 0x01, SYN: 0x02, RST: 0x04, PSH: 0x08, ACK: 0x10, URG: 0x20, ECE: 0x40, CWR: 0x80 } as const;

export const UDP = { HEADER_LENGTH: 8, LENGTH: 4, CHECKSUM: 6 } as const;

export const PROTOCOL = { TCP: 6, UDP: 17, ICMP6: 58 } as const;

/** Sum of `length` (even) bytes at `offset`. */
export function sumWords(view: DataView, offset: number, length: number): number {
  let sum = 0;
  for (let at = offset; at < offset + length; at += 2) sum += view.getUint16(at);
  return sum;
}

/** Folds a sum (below 2^48) to 16 bits. */
export function foldSum(sum: number): number {
  let folded = Math.floor(sum / 0x10000) + (sum % 0x10000);
  while (folded > 0xffff) folded = (folded >>> 16) + (folded & 0xffff);
  return folded;
}

/** Folds a sum below 2^31, by integer arithmetic alone: the hot path's form. */
export function foldSmallSum(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}

/** Length of the IP packet at `offset` as its header says, or -1 if it is no IP packet or does not fit in `available`. */
export function ipPacketLength(view: DataView, offset: number, available: number): number {
  if (available < IPV4.HEADER_LENGTH_MIN) return -1;
  const version = view.getUint8(offset) >>> 4;
  let length = -1;
  if (version === 4) {
    length = view.getUint16(offset + IPV4.TOTAL_LENGTH);
    const header = (view.getUint8(offset) & 15) * 4;
    if (header < IPV4.HEADER_LENGTH_MIN || header > length) return -1;
  } else if (version === 6) {
    length = IPV6.HEADER_LENGTH + view.getUint16(offset + IPV6.PAYLOAD_LENGTH);
  }
  return length > available ? -1 : length;
}
