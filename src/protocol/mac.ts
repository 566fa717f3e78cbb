/**
 * The two MACs at the end of an initiation or response (paper, section 5.4.4). mac1 shows that the sender knows our
 * public key, and is checked before anything else; mac2 shows that it holds a cookie of ours, and so its address.
 */
import { timingSafeEqual } from 'node:crypto';
import { LABEL_MAC1, MAC_LENGTH } from './constants.ts';
import { hash, mac } from './hash.ts';

/** Key of mac1 in messages to the holder of a static public key (32 bytes); returns 32 new bytes. */
export function mac1Key(publicKey: Uint8Array): Uint8Array {
  return hash(Buffer.from(LABEL_MAC1), publicKey);
}

/** mac1 of an initiation or response: a view of 16 bytes. */
export function mac1Of(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - 2 * MAC_LENGTH, message.length - MAC_LENGTH);
}

/** Writes mac1 into an initiation or response. */
export function stampMac1(message: Uint8Array, key: Uint8Array): void {
  mac1Of(message).set(mac(key, beforeMac1(message)));
}

/** Writes mac2 into an initiation or response whose mac1 is in place. */
export function stampMac2(message: Uint8Array, cookie: Uint8Array): void {
  mac2Of(message).set(mac(cookie, beforeMac2(message)));
}

/** Checks mac1 in constant time. */
export function hasValidMac1(message: Uint8Array, key: Uint8Array): boolean {
  return timingSafeEqual(mac1Of(message), mac(key, beforeMac1(message)));
}

/** Checks mac2 in constant time. */
export function hasValidMac2(message: Uint8Array, cookie: Uint8Array): boolean {
  return timingSafeEqual(mac2Of(message), mac(cookie, beforeMac2(message)));
}

function mac2Of(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - MAC_LENGTH);
}

function beforeMac1(message: Uint8Array): Uint8Array {
  return message.subarray(0, message.length - 2 * MAC_LENGTH);
}

function beforeMac2(message: Uint8Array): Uint8Array {
  return message.subarray(0, message.length - MAC_LENGTH);
}
