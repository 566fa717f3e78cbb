/**
 * Inbound, repeat: a super-packet that the TUN refused is written packet by packet. Nothing was copied when it was merged,
 * so its packets are all still there: those behind the first have their headers before their payload, and the first one's
 * headers, which had become those of the super-packet, are made its own again. A cold path.
 */
import type { LaneContext } from '../lane-context.ts';
import { ACTIVITY } from '../ledger/catalog.ts';
import { TUN_WRITE, VIRTIO_HEADER_LENGTH } from '../native/layout.ts';
import { FLAG, foldSum, IPV4, IPV6, PROTOCOL, sumWords, TCP, UDP } from '../packet/ip-header.ts';
import { GSO, VIRTIO, writePlainVirtioHeader } from '../packet/virtio-header.ts';

/** What came of one packet: its length, and the errno that it met, 0 for none. */
export type TakePacket = (length: number, errno: number) => void;

/**
 * Writes the packets of the super-packet whose TUN_WRITE descriptor stands at word `write`, one by one, and tells the fate
 * of each. The descriptor and its pieces are used up. Returns how many packets were written.
 */
export function repeatSingly(lane: LaneContext, write: number, take: TakePacket): number {
  const { words, view } = lane.arena;
  const list = words[write + TUN_WRITE.PIECES_OFFSET] >> 2;
  const count = words[write + TUN_WRITE.PIECES_COUNT];
  const virtio = words[list];
  const headerLength = view.getUint16(virtio + VIRTIO.HEADER_LENGTH, true);
  restoreFirst(view, virtio, words[list + 1] - VIRTIO_HEADER_LENGTH);
  let written = 0;
  words[write + TUN_WRITE.PACKETS] = 1;
  words[write + TUN_WRITE.PIECES_COUNT] = 1;
  for (let packet = 0; packet < count; packet += 1) {
    const piece = list + packet * 2;
    if (packet > 0) {
      words[piece] -= headerLength + VIRTIO_HEADER_LENGTH;
      words[piece + 1] += headerLength + VIRTIO_HEADER_LENGTH;
    }
    const length = words[piece + 1] - VIRTIO_HEADER_LENGTH;
    writePlainVirtioHeader(view, words[piece]);
    words[write + TUN_WRITE.PIECES_OFFSET] = piece << 2;
    const good = lane.native.writeTun(lane.handle, write << 2, 1, ACTIVITY.USER_UDP_TO_TUN) === 1;
    take(length, good ? 0 : -words[write + TUN_WRITE.RESULT]);
    written += good ? 1 : 0;
  }
  return written;
}

/** GSO type of the super-packet that a write carries. */
export function gsoTypeOf(lane: LaneContext, write: number): number {
  const { words, view } = lane.arena;
  return view.getUint8(words[words[write + TUN_WRITE.PIECES_OFFSET] >> 2] + VIRTIO.GSO_TYPE);
}

/** The first packet had neither PSH nor FIN, or nothing would have been merged behind it; the rest follows from its length. */
function restoreFirst(view: DataView, virtio: number, length: number): void {
  const ip = virtio + VIRTIO_HEADER_LENGTH;
  const transport = view.getUint16(virtio + VIRTIO.CHECKSUM_START, true);
  const checksum = ip + transport + view.getUint16(virtio + VIRTIO.CHECKSUM_OFFSET, true);
  const isUdp = view.getUint8(virtio + VIRTIO.GSO_TYPE) === GSO.UDP;
  const isIpv4 = view.getUint8(ip) >>> 4 === 4;
  if (isUdp) view.setUint16(ip + transport + UDP.LENGTH, length - transport);
  else clearFlags(view, ip + transport + TCP.FLAGS);
  if (isIpv4) {
    view.setUint16(ip + IPV4.TOTAL_LENGTH, length);
    view.setUint16(ip + IPV4.CHECKSUM, 0);
    view.setUint16(ip + IPV4.CHECKSUM, ~foldSum(sumWords(view, ip, transport)) & 0xffff);
  } else view.setUint16(ip + IPV6.PAYLOAD_LENGTH, length - IPV6.HEADER_LENGTH);
  view.setUint16(checksum, 0);
  const addresses = isIpv4 ? sumWords(view, ip + IPV4.SOURCE, 8) : sumWords(view, ip + IPV6.SOURCE, 32);
  const pseudo = addresses + (isUdp ? PROTOCOL.UDP : PROTOCOL.TCP) + length - transport;
  const sum = ~foldSum(pseudo + sumBytes(view, ip + transport, length - transport)) & 0xffff;
  // A UDP checksum of zero means that there is none (RFC 768).
  view.setUint16(checksum, isUdp && sum === 0 ? 0xffff : sum);
}

function clearFlags(view: DataView, at: number): void {
  view.setUint8(at, view.getUint8(at) & ~(FLAG.PSH | FLAG.FIN));
}

/** Sum of words, a last odd byte as the upper half of one. */
function sumBytes(view: DataView, offset: number, length: number): number {
  const even = length & ~1;
  return sumWords(view, offset, even) + (even === length ? 0 : view.getUint8(offset + even) << 8);
}
