/**
 * The virtio network header that the TUN puts before each packet (struct virtio_net_hdr, linux/virtio_net.h, 10 bytes):
 * flags u8, gso_type u8, hdr_len u16, gso_size u16, csum_start u16, csum_offset u16, all in the machine's byte order
 * (little-endian on every machine we run on).
 */

/** Flag: the checksum at csum_start + csum_offset is still to be computed over all from csum_start. */
export const NEEDS_CHECKSUM = 1;

/** Kinds of super-packet; ECN may be or-ed to the TCP ones. */
export const GSO = { NONE: 0, TCP4: 1, TCP6: 4, UDP: 5, ECN: 0x80 } as const;

/** Byte offsets of the fields. */
export const VIRTIO = {
  FLAGS: 0,
  GSO_TYPE: 1,
  HEADER_LENGTH: 2,
  GSO_SIZE: 4,
  CHECKSUM_START: 6,
  CHECKSUM_OFFSET: 8,
} as const;

/** Writes the header of a single packet whose checksum is complete. */
export function writePlainVirtioHeader(view: DataView, offset: number): void {
  view.setInt32(offset, 0, true);
  view.setInt32(offset + 4, 0, true);
  view.setInt16(offset + 8, 0, true);
}

/** Writes the header of a super-packet; lengths and offsets in bytes from the start of the inner packet. */
export function writeSuperVirtioHeader(
  view: DataView,
  offset: number,
  gsoType: number,
  headerLength: number,
  gsoSize: number,
  checksumStart: number,
  checksumOffset: number,
): void {
  view.setUint8(offset + VIRTIO.FLAGS, NEEDS_CHECKSUM);
  view.setUint8(offset + VIRTIO.GSO_TYPE, gsoType);
  view.setUint16(offset + VIRTIO.HEADER_LENGTH, headerLength, true);
  view.setUint16(offset + VIRTIO.GSO_SIZE, gsoSize, true);
  view.setUint16(offset + VIRTIO.CHECKSUM_START, checksumStart, true);
  view.setUint16(offset + VIRTIO.CHECKSUM_OFFSET, checksumOffset, true);
}
