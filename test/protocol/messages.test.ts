import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeHandshake,
  encodeCookieReply,
  encodeInitiation,
  encodeResponse,
  type HandshakeMessage,
} from '../../src/protocol/messages.ts';

const index = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const anyMessage = fc.oneof(
  fc.tuple(index, bytes(108)).map(([sender, noise]) => encodeInitiation(sender, noise)),
  fc.tuple(index, index, bytes(48)).map(([sender, receiver, noise]) => encodeResponse(sender, receiver, noise)),
  fc.tuple(index, bytes(24), bytes(32)).map(([receiver, nonce, cookie]) => encodeCookieReply(receiver, nonce, cookie)),
);

describe('A handshake message', () => {
  it('has 148 bytes as initiation, and reads as it was written', () => {
    fc.assert(
      fc.property(index, bytes(108), (sender, noise) => {
        const message = encodeInitiation(sender, noise);
        expect(message.length).toBe(148);
        expect(message.subarray(116)).toEqual(new Uint8Array(32));
        expect(fieldsOf(decodeHandshake(message))).toEqual({ type: 1, sender, noise });
      }),
    );
  });

  it('has 92 bytes as response, and reads as it was written', () => {
    fc.assert(
      fc.property(index, index, bytes(48), (sender, receiver, noise) => {
        const message = encodeResponse(sender, receiver, noise);
        expect(message.length).toBe(92);
        expect(message.subarray(60)).toEqual(new Uint8Array(32));
        expect(fieldsOf(decodeHandshake(message))).toEqual({ type: 2, sender, receiver, noise });
      }),
    );
  });

  it('has 64 bytes as cookie reply, and reads as it was written', () => {
    fc.assert(
      fc.property(index, bytes(24), bytes(32), (receiver, nonce, sealedCookie) => {
        const message = encodeCookieReply(receiver, nonce, sealedCookie);
        expect(message.length).toBe(64);
        expect(fieldsOf(decodeHandshake(message))).toEqual({ type: 3, receiver, nonce, sealedCookie });
      }),
    );
  });

  it('puts each field where the paper says, little-endian', () => {
    expect([...encodeInitiation(0x04030201, new Uint8Array(108).fill(9)).subarray(0, 9)]).toEqual([
      1, 0, 0, 0, 1, 2, 3, 4, 9,
    ]);
    expect([...encodeResponse(1, -2, new Uint8Array(48).fill(9)).subarray(0, 13)]).toEqual([
      2, 0, 0, 0, 1, 0, 0, 0, 254, 255, 255, 255, 9,
    ]);
  });

  it('is refused at any other length', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(200), (message, length) => {
        fc.pre(length !== message.length);
        const changed = new Uint8Array(length);
        changed.set(message.subarray(0, length));
        expect(decodeHandshake(changed)).toBeNull();
      }),
    );
  });

  it('is refused when a bit of its type or its reserved bytes is changed', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(31), (message, bit) => {
        const changed = Uint8Array.from(message);
        changed[bit >> 3] ^= 1 << (bit & 7);
        expect(decodeHandshake(changed)).toBeNull();
      }),
    );
  });

  it('is refused as noise of any length, unless noise is a well-formed message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const decoded = decodeHandshake(noise);
        if (decoded !== null) expect([noise[1], noise[2], noise[3]]).toEqual([0, 0, 0]);
      }),
    );
  });

  it('reads the same from the middle of a larger buffer', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(7), (message, offset) => {
        const buffer = new Uint8Array(message.length + 16);
        buffer.set(message, offset);
        const decoded = decodeHandshake(buffer.subarray(offset, offset + message.length));
        expect(fieldsOf(decoded)).toEqual(fieldsOf(decodeHandshake(message)));
      }),
    );
  });
});

function fieldsOf(message: HandshakeMessage | null): object | null {
  if (message === null) return null;
  const { bytes: _, ...fields } = message;
  return fields;
}
