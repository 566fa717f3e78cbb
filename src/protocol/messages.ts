/**
 * The three handshake messages as bytes (paper, sections 5.4.2, 5.4.3, 5.4.7). Decoding checks exact length, type and
 * reserved bytes and returns views into the message; encoding returns new messages whose MACs are still zero.
 */
import {
  COOKIE_REPLY,
  INITIATION,
  MESSAGE_COOKIE_REPLY,
  MESSAGE_INITIATION,
  MESSAGE_RESPONSE,
  RESPONSE,
} from './constants.ts';

export interface Initiation {
  readonly type: typeof MESSAGE_INITIATION;
  readonly bytes: Uint8Array;
  /** Index by which the initiator wants to be addressed, int32. */
  readonly sender: number;
  /** 108 bytes: the Noise message with the timestamp as payload. */
  readonly noise: Uint8Array;
}

export interface Response {
  readonly type: typeof MESSAGE_RESPONSE;
  readonly bytes: Uint8Array;
  /** Index by which the responder wants to be addressed, int32. */
  readonly sender: number;
  /** Index from the initiation, int32. */
  readonly receiver: number;
  /** 48 bytes: the Noise message with an empty payload. */
  readonly noise: Uint8Array;
}

export interface CookieReply {
  readonly type: typeof MESSAGE_COOKIE_REPLY;
  readonly bytes: Uint8Array;
  /** Sender index of the message that the cookie is for, int32. */
  readonly receiver: number;
  /** 24 bytes. */
  readonly nonce: Uint8Array;
  /** 32 bytes: cookie and tag. */
  readonly sealedCookie: Uint8Array;
}

export type HandshakeMessage = Initiation | Response | CookieReply;

/** Reads a handshake message of any type; null for an unknown type, a wrong length or reserved bytes that are not zero. */
export function decodeHandshake(bytes: Uint8Array): HandshakeMessage | null {
  if (bytes.length < COOKIE_REPLY.LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = view.getUint32(0, true);
  if (type === MESSAGE_INITIATION && bytes.length === INITIATION.LENGTH) {
    const noise = bytes.subarray(INITIATION.EPHEMERAL, INITIATION.MAC1);
    return { type, bytes, sender: view.getInt32(INITIATION.SENDER, true), noise };
  }
  if (type === MESSAGE_RESPONSE && bytes.length === RESPONSE.LENGTH) {
    const noise = bytes.subarray(RESPONSE.EPHEMERAL, RESPONSE.MAC1);
    const sender = view.getInt32(RESPONSE.SENDER, true);
    return { type, bytes, sender, receiver: view.getInt32(RESPONSE.RECEIVER, true), noise };
  }
  if (type === MESSAGE_COOKIE_REPLY && bytes.length === COOKIE_REPLY.LENGTH) {
    const nonce = bytes.subarray(COOKIE_REPLY.NONCE, COOKIE_REPLY.COOKIE);
    const sealedCookie = bytes.subarray(COOKIE_REPLY.COOKIE);
    return { type, bytes, receiver: view.getInt32(COOKIE_REPLY.RECEIVER, true), nonce, sealedCookie };
  }
  return null;
}

/**
 * An initiation whose MACs are zero.
 *
 * @param sender int32
 * @param noise 108 bytes
 * @returns 148 new bytes
 */
export function encodeInitiation(sender: number, noise: Uint8Array): Uint8Array {
  const { bytes, view } = open(MESSAGE_INITIATION, INITIATION.LENGTH);
  view.setInt32(INITIATION.SENDER, sender, true);
  bytes.set(noise, INITIATION.EPHEMERAL);
  return bytes;
}

/**
 * A response whose MACs are zero.
 *
 * @param sender int32
 * @param receiver int32
 * @param noise 48 bytes
 * @returns 92 new bytes
 */
export function encodeResponse(sender: number, receiver: number, noise: Uint8Array): Uint8Array {
  const { bytes, view } = open(MESSAGE_RESPONSE, RESPONSE.LENGTH);
  view.setInt32(RESPONSE.SENDER, sender, true);
  view.setInt32(RESPONSE.RECEIVER, receiver, true);
  bytes.set(noise, RESPONSE.EPHEMERAL);
  return bytes;
}

/**
 * A cookie reply.
 *
 * @param receiver int32
 * @param nonce 24 bytes
 * @param sealedCookie 32 bytes
 * @returns 64 new bytes
 */
export function encodeCookieReply(receiver: number, nonce: Uint8Array, sealedCookie: Uint8Array): Uint8Array {
  const { bytes, view } = open(MESSAGE_COOKIE_REPLY, COOKIE_REPLY.LENGTH);
  view.setInt32(COOKIE_REPLY.RECEIVER, receiver, true);
  bytes.set(nonce, COOKIE_REPLY.NONCE);
  bytes.set(sealedCookie, COOKIE_REPLY.COOKIE);
  return bytes;
}

function open(type: number, length: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  return { bytes, view };
}
