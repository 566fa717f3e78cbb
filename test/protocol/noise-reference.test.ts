/**
 * The Noise core of both ciphers against a second reading of the framework (test/reference/noise-ikpsk2.ts). That reading is
 * itself held against the public vector of ChaChaPoly; only cipher and name differ from there to AESGCM.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Cipher } from '../../src/protocol/cipher.ts';
import {
  readInitiationPayload,
  readInitiationSecret,
  readInitiationStatic,
  readResponse,
  writeInitiation,
  writeResponse,
} from '../../src/protocol/noise.ts';
import { SymmetricState } from '../../src/protocol/symmetric-state.ts';
import { importKeyPair, sharedSecret } from '../../src/protocol/x25519.ts';
import { type ReferenceCipher, type ReferenceKeys, referenceHandshake } from '../reference/noise-ikpsk2.ts';
import { fromHex, loadVectors, toHex, vectorsArePresent, vectorTitle } from '../vectors/load.ts';
import type { NoiseVector } from '../vectors/noise-vector.ts';

/** Noise revision 34, sections 12.3 and 12.4. */
function nonceOf(n: bigint, littleEndian: boolean): Uint8Array {
  const nonce = new DataView(new ArrayBuffer(12));
  nonce.setBigUint64(4, n, littleEndian);
  return new Uint8Array(nonce.buffer);
}

const REFERENCES: Readonly<Record<Cipher, ReferenceCipher>> = {
  'chacha20-poly1305': {
    name: 'ChaChaPoly',
    encrypt: (k, n, ad, plaintext) => chacha20poly1305(k, nonceOf(n, true), ad).encrypt(plaintext),
  },
  'aes-256-gcm': {
    name: 'AESGCM',
    encrypt: (k, n, ad, plaintext) => gcm(k, nonceOf(n, false), ad).encrypt(plaintext),
  },
};

const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
const payload = fc.uint8Array({ maxLength: 80 });
const keys: fc.Arbitrary<ReferenceKeys> = fc.record({
  initiatorStatic: key,
  initiatorEphemeral: key,
  responderStatic: key,
  responderEphemeral: key,
  psk: key,
});

/** What the code under test makes of a handshake, both roles. */
function ourHandshake(
  cipher: Cipher,
  prologue: Uint8Array,
  given: ReferenceKeys,
  payloads: readonly [Uint8Array, Uint8Array],
) {
  const initiatorStatic = importKeyPair(given.initiatorStatic);
  const responderStatic = importKeyPair(given.responderStatic);
  const staticStatic = present(sharedSecret(initiatorStatic.privateKey, responderStatic.publicKey));
  const start = () => SymmetricState.start(cipher, prologue, responderStatic.publicKey);
  const initiator = {
    ephemeral: importKeyPair(given.initiatorEphemeral),
    localStatic: initiatorStatic,
    remoteStatic: responderStatic.publicKey,
    staticStatic,
    presharedKey: given.psk,
  };
  const [ours, theirs] = [start(), start()];
  const first = present(writeInitiation(ours, initiator, payloads[0]));
  const secret = present(readInitiationSecret(responderStatic, first));
  expect(readInitiationStatic(theirs, secret, first)).toEqual(initiatorStatic.publicKey);
  expect(readInitiationPayload(theirs, staticStatic, first)).toEqual(payloads[0]);
  const responder = {
    ephemeral: importKeyPair(given.responderEphemeral),
    remoteEphemeral: first.subarray(0, 32),
    remoteStatic: initiatorStatic.publicKey,
    presharedKey: given.psk,
  };
  const second = present(writeResponse(theirs, responder, payloads[1]));
  const read = present(readResponse(ours, initiator, second));
  expect(read.payload).toEqual(payloads[1]);
  const hash = read.state.handshakeHash;
  expect(theirs.handshakeHash).toEqual(hash);
  const { initiatorKey, responderKey } = read.state.split();
  expect(theirs.split()).toEqual({ initiatorKey, responderKey });
  return { messages: [first, second], hash, keys: [initiatorKey, responderKey] };
}

function present<T>(value: T | null): T {
  if (value === null) throw new Error('expected a value');
  return value;
}

const hexOf = ({
  messages,
  hash,
  keys: made,
}: {
  messages: readonly Uint8Array[];
  hash: Uint8Array;
  keys: readonly Uint8Array[];
}) => [...messages, hash, ...made].map(toHex);

describe.each(['chacha20-poly1305', 'aes-256-gcm'] as const)('Noise with %s', (cipher) => {
  it('equals the reference in messages, hash and keys', () => {
    fc.assert(
      fc.property(payload, keys, fc.tuple(payload, payload), (prologue, given, payloads) => {
        const expected = referenceHandshake(REFERENCES[cipher], prologue, given, payloads);
        expect(hexOf(ourHandshake(cipher, prologue, given, payloads))).toEqual(hexOf(expected));
      }),
      { numRuns: 40 },
    );
  });
});

describe.skipIf(!vectorsArePresent)(vectorTitle('The reference'), () => {
  it('gives the public vector of ChaChaPoly', () => {
    const [vector] = loadVectors<NoiseVector[]>('noise-ikpsk2.json', []);
    const given = {
      initiatorStatic: fromHex(vector.init_static),
      initiatorEphemeral: fromHex(vector.init_ephemeral),
      responderStatic: fromHex(vector.resp_static),
      responderEphemeral: fromHex(vector.resp_ephemeral),
      psk: fromHex(vector.init_psks[0]),
    };
    const [first, second, ...transport] = vector.messages;
    const payloads = [fromHex(first.payload), fromHex(second.payload)] as const;
    const reference = REFERENCES['chacha20-poly1305'];
    const made = referenceHandshake(reference, fromHex(vector.init_prologue), given, payloads);
    expect(made.messages.map(toHex)).toEqual([first.ciphertext, second.ciphertext]);
    expect(toHex(made.hash)).toBe(vector.handshake_hash);
    transport.forEach((message, place) => {
      const sealed = reference.encrypt(
        made.keys[place % 2],
        BigInt(place >> 1),
        new Uint8Array(0),
        fromHex(message.payload),
      );
      expect(toHex(sealed)).toBe(message.ciphertext);
    });
  });
});
