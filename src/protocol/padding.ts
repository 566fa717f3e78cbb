/** How far an inner packet is padded, so that its length tells an observer less (paper, section 5.4.6). */
import { PADDING_MULTIPLE } from './constants.ts';

/**
 * Length of an inner packet with its padding: the next multiple of 16, but never past the MTU. A packet longer than the
 * MTU (the MTU has just been lowered) is padded as its last MTU-sized part would be.
 *
 * @param length inner packet, bytes, 0 to 65,535
 * @param mtu of the TUN interface, bytes; 0 means that there is no limit
 * @returns bytes, `length` or more
 */
export function paddedLength(length: number, mtu: number): number {
  const roundedUp = (length + PADDING_MULTIPLE - 1) & -PADDING_MULTIPLE;
  if (roundedUp <= mtu || mtu === 0) return roundedUp;
  const lastUnit = length % mtu;
  const padded = Math.min((lastUnit + PADDING_MULTIPLE - 1) & -PADDING_MULTIPLE, mtu);
  return length - lastUnit + padded;
}
