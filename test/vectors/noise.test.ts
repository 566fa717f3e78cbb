/**
 * The Noise core against the public vector of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, both roles. WireGuard is this
 * pattern with a prologue and payloads of its own; the vector has others, so it drives the same functions that the
 * handshake calls. The vector's messages behind the handshake are sealed with the keys that `split` gives.
 */
import { describe, expect, it } from 'vitest';
import { seal, unseal } from '../../src/protocol/aead.ts';
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
import { fromHex, loadVectors, toHex, vectorsArePresent, vectorTitle } from './load.ts';
import type { NoiseVector } from './noise-vector.ts';

describe.skipIf(!vectorsArePresent)(vectorTitle('Noise_IKpsk2 against the public vector'), () => {
  for (const vector of loadVectors<NoiseVector[]>('noise-ikpsk2.json', [])) {
    const [first, second, ...transport] = vector.messages;
    const { initiator, responder } = keysOf(vector);

    it('writes the initiation and reads the response as the initiator', () => {
      const state = start(vector);
      expect(hexOrNull(writeInitiation(state, initiator, fromHex(first.payload)))).toBe(first.ciphertext);
      const read = readResponse(state, initiator, fromHex(second.ciphertext));
      expect(hexOrNull(read?.payload)).toBe(second.payload);
      expect(hexOrNull(read?.state.handshakeHash)).toBe(vector.handshake_hash);
    });

    it('reads the initiation and writes the response as the responder', () => {
      const state = start(vector);
      const message = fromHex(first.ciphertext);
      const secret = readInitiationSecret(responder.localStatic, message);
      const remoteStatic = secret && readInitiationStatic(state, secret, message);
      expect(hexOrNull(remoteStatic)).toBe(toHex(initiator.localStatic.publicKey));
      expect(hexOrNull(readInitiationPayload(state, responder.staticStatic, message))).toBe(first.payload);
      const keys = { ...responder, remoteEphemeral: message.subarray(0, 32) };
      expect(hexOrNull(writeResponse(state, keys, fromHex(second.payload)))).toBe(second.ciphertext);
      expect(toHex(state.handshakeHash)).toBe(vector.handshake_hash);
    });

    it('splits into the keys that seal the messages behind the handshake', () => {
      const state = start(vector);
      writeInitiation(state, initiator, fromHex(first.payload));
      const { initiatorKey, responderKey } = splitAfter(state, vector, second.ciphertext);
      transport.forEach(({ payload, ciphertext }, position) => {
        const key = position % 2 === 0 ? initiatorKey : responderKey;
        const nonce = nonceOf(position >> 1);
        expect(toHex(seal('chacha20-poly1305', key, nonce, new Uint8Array(0), fromHex(payload)))).toBe(ciphertext);
        expect(hexOrNull(unseal('chacha20-poly1305', key, nonce, new Uint8Array(0), fromHex(ciphertext)))).toBe(
          payload,
        );
      });
    });

    it('leaves nothing of the state behind after the split', () => {
      const state = start(vector);
      state.split();
      expect(state.isCleared).toBe(true);
    });
  }

  it('has the vector', () => {
    expect(loadVectors<NoiseVector[]>('noise-ikpsk2.json', []).map((vector) => vector.protocol_name)).toEqual([
      'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s',
    ]);
  });
});

function keysOf(vector: NoiseVector) {
  const initiatorStatic = importKeyPair(fromHex(vector.init_static));
  const responderStatic = importKeyPair(fromHex(vector.resp_static));
  const remoteStatic = fromHex(vector.init_remote_static);
  const staticStatic = secretOf(initiatorStatic.privateKey, remoteStatic);
  const presharedKey = fromHex(vector.init_psks[0]);
  const initiator = {
    ephemeral: importKeyPair(fromHex(vector.init_ephemeral)),
    localStatic: initiatorStatic,
    remoteStatic,
    staticStatic,
    presharedKey,
  };
  const responder = {
    ephemeral: importKeyPair(fromHex(vector.resp_ephemeral)),
    localStatic: responderStatic,
    remoteStatic: initiatorStatic.publicKey,
    staticStatic: secretOf(responderStatic.privateKey, initiatorStatic.publicKey),
    presharedKey,
  };
  return { initiator, responder };
}

function secretOf(...keys: Parameters<typeof sharedSecret>): Uint8Array {
  const secret = sharedSecret(...keys);
  if (secret === null) throw new Error('the vector has a key of low order');
  return secret;
}

function start(vector: NoiseVector): SymmetricState {
  return SymmetricState.start('chacha20-poly1305', fromHex(vector.init_prologue), fromHex(vector.init_remote_static));
}

function splitAfter(state: SymmetricState, vector: NoiseVector, response: string) {
  const read = readResponse(state, keysOf(vector).initiator, fromHex(response));
  if (read === null) throw new Error('the response was refused');
  return read.state.split();
}

function nonceOf(counter: number): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(4, counter, true);
  return nonce;
}

function hexOrNull(bytes: Uint8Array | null | undefined): string | null {
  return bytes ? toHex(bytes) : null;
}
