/**
 * Endpoints: where a peer was last authenticated. As a value for the control lane and the protocol, and as the
 * ENDPOINT record in the arena that native code sends to. Both forms hold addresses as bytes in wire order.
 */
import { ENDPOINT } from '../native/layout.ts';

export interface Endpoint {
  readonly family: 4 | 6;
  /** 4 or 16 bytes in wire order. */
  readonly address: Uint8Array;
  /** UDP port, 1 to 65,535. */
  readonly port: number;
  /** Interface index of an IPv6 link-local address, else 0. */
  readonly scope: number;
  /** Local address to send from (sticky source), or null to let the kernel choose. */
  readonly localAddress: Uint8Array | null;
  /** Local interface index, or 0. */
  readonly localInterface: number;
}

const BYTES_OF_FAMILY = { 4: 4, 6: 16 } as const;

/** Reads the ENDPOINT record at a byte offset (multiple of 4) of the arena; null when its family is 0. */
export function readEndpoint(arena: Uint8Array, offset: number): Endpoint | null {
  const words = new Int32Array(arena.buffer, arena.byteOffset + offset, ENDPOINT.WORDS);
  const family = words[ENDPOINT.FAMILY];
  if (family !== 4 && family !== 6) return null;
  const addressOffset = offset + ENDPOINT.ADDRESS * 4;
  const localOffset = offset + ENDPOINT.LOCAL_ADDRESS * 4;
  const length = BYTES_OF_FAMILY[family];
  const local = Uint8Array.from(arena.subarray(localOffset, localOffset + length));
  return {
    family,
    address: Uint8Array.from(arena.subarray(addressOffset, addressOffset + length)),
    port: words[ENDPOINT.PORT] ?? 0,
    scope: words[ENDPOINT.SCOPE] ?? 0,
    localAddress: local.some((byte) => byte !== 0) ? local : null,
    localInterface: words[ENDPOINT.LOCAL_INTERFACE] ?? 0,
  };
}

/** Writes an endpoint as an ENDPOINT record; null writes family 0. */
export function writeEndpoint(arena: Uint8Array, offset: number, endpoint: Endpoint | null): void {
  const words = new Int32Array(arena.buffer, arena.byteOffset + offset, ENDPOINT.WORDS).fill(0);
  if (endpoint === null) return;
  words[ENDPOINT.FAMILY] = endpoint.family;
  words[ENDPOINT.PORT] = endpoint.port;
  words[ENDPOINT.SCOPE] = endpoint.scope;
  words[ENDPOINT.LOCAL_INTERFACE] = endpoint.localInterface;
  arena.set(endpoint.address, offset + ENDPOINT.ADDRESS * 4);
  if (endpoint.localAddress !== null) arena.set(endpoint.localAddress, offset + ENDPOINT.LOCAL_ADDRESS * 4);
}

/** Whether two endpoints agree in everything, the local address and interface included. */
export function isSameEndpoint(left: Endpoint | null, right: Endpoint | null): boolean {
  if (left === null || right === null) return left === right;
  return (
    left.port === right.port &&
    left.scope === right.scope &&
    left.localInterface === right.localInterface &&
    isSameAddress(left.address, right.address) &&
    isSameAddress(left.localAddress, right.localAddress)
  );
}

function isSameAddress(left: Uint8Array | null, right: Uint8Array | null): boolean {
  if (left === null || right === null) return left === right;
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

/** Whether two endpoints are the same remote address and port; the local address may differ. */
export function isSameRemote(left: Endpoint | null, right: Endpoint): boolean {
  return left !== null && left.port === right.port && Buffer.compare(left.address, right.address) === 0;
}
