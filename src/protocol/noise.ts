/**
 * The messages of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, or the same with AESGCM: the state says which. Without WireGuard's
 * framing: any prologue, any payload.
 *
 *     <- s
 *     ...
 *     -> e, es, s, ss, payload       initiation: ephemeral (32), sealed static key (48), sealed payload
 *     <- e, ee, se, psk, payload     response:   ephemeral (32), sealed payload
 *
 * The caller supplies ephemeral keys and keeps the static-static secret, which never changes, per peer. Functions return
 * null when a key has low order or a part is not authentic; a state that was read or written in vain is of no more use,
 * but for `readResponse`, which leaves the initiator's state as it was so that the true response may still come.
 */
import { KEY_LENGTH, TAG_LENGTH } from './constants.ts';
import type { SymmetricState } from './symmetric-state.ts';
import { type DhKeyPair, sharedSecret } from './x25519.ts';

/** Sealed static key: where the payload starts within the initiation. */
const INITIATION_PAYLOAD = KEY_LENGTH + KEY_LENGTH + TAG_LENGTH;

export interface InitiationKeys {
  readonly ephemeral: DhKeyPair;
  readonly localStatic: DhKeyPair;
  /** 32 bytes: the responder's static public key. */
  readonly remoteStatic: Uint8Array;
  /** 32 bytes: the secret of the two static keys. Not zeroed here. */
  readonly staticStatic: Uint8Array;
}

/** -> e, es, s, ss, payload. Returns payload length + 96 new bytes. */
export function writeInitiation(state: SymmetricState, keys: InitiationKeys, payload: Uint8Array): Uint8Array | null {
  const ephemeralStatic = sharedSecret(keys.ephemeral.privateKey, keys.remoteStatic);
  if (ephemeralStatic === null) return null;
  state.mixPublic(keys.ephemeral.publicKey);
  const sealedStatic = state.seal(state.mixSecret(ephemeralStatic), keys.localStatic.publicKey);
  const sealedPayload = state.seal(state.mixKey(keys.staticStatic), payload);
  return join(keys.ephemeral.publicKey, sealedStatic, sealedPayload);
}

/** What reading an initiation begins with, whatever its cipher: the secret of `es`, 32 bytes, which the caller zeroes. */
export function readInitiationSecret(localStatic: DhKeyPair, message: Uint8Array): Uint8Array | null {
  return sharedSecret(localStatic.privateKey, message.subarray(0, KEY_LENGTH));
}

/** First half of reading an initiation: who is it? Returns the initiator's static public key, 32 bytes, unproven as yet. */
export function readInitiationStatic(
  state: SymmetricState,
  ephemeralStatic: Uint8Array,
  message: Uint8Array,
): Uint8Array | null {
  state.mixPublic(message.subarray(0, KEY_LENGTH));
  return state.unseal(state.mixKey(ephemeralStatic), message.subarray(KEY_LENGTH, INITIATION_PAYLOAD));
}

/** Second half: the payload, which proves that the initiator holds its static key. */
export function readInitiationPayload(
  state: SymmetricState,
  staticStatic: Uint8Array,
  message: Uint8Array,
): Uint8Array | null {
  return state.unseal(state.mixKey(staticStatic), message.subarray(INITIATION_PAYLOAD));
}

export interface ResponseKeys {
  readonly ephemeral: DhKeyPair;
  /** 32 bytes: from the initiation. */
  readonly remoteEphemeral: Uint8Array;
  /** 32 bytes: the initiator's static public key. */
  readonly remoteStatic: Uint8Array;
  /** 32 bytes, zeros for none. Not zeroed here. */
  readonly presharedKey: Uint8Array;
}

/** <- e, ee, se, psk, payload. Returns payload length + 48 new bytes. */
export function writeResponse(state: SymmetricState, keys: ResponseKeys, payload: Uint8Array): Uint8Array | null {
  const ephemeralEphemeral = sharedSecret(keys.ephemeral.privateKey, keys.remoteEphemeral);
  const staticEphemeral = sharedSecret(keys.ephemeral.privateKey, keys.remoteStatic);
  if (ephemeralEphemeral === null || staticEphemeral === null) {
    ephemeralEphemeral?.fill(0);
    staticEphemeral?.fill(0);
    return null;
  }
  const key = mixResponse(state, keys.ephemeral.publicKey, ephemeralEphemeral, staticEphemeral, keys.presharedKey);
  return join(keys.ephemeral.publicKey, state.seal(key, payload));
}

export interface ResponseReadingKeys {
  readonly ephemeral: DhKeyPair;
  readonly localStatic: DhKeyPair;
  readonly presharedKey: Uint8Array;
}

/** Reads a response: the state after it and the payload, or null. The state given is not changed. */
export function readResponse(
  before: SymmetricState,
  keys: ResponseReadingKeys,
  message: Uint8Array,
): { state: SymmetricState; payload: Uint8Array } | null {
  const remoteEphemeral = message.subarray(0, KEY_LENGTH);
  const ephemeralEphemeral = sharedSecret(keys.ephemeral.privateKey, remoteEphemeral);
  const staticEphemeral = sharedSecret(keys.localStatic.privateKey, remoteEphemeral);
  if (ephemeralEphemeral === null || staticEphemeral === null) {
    ephemeralEphemeral?.fill(0);
    staticEphemeral?.fill(0);
    return null;
  }
  const state = before.clone();
  const key = mixResponse(state, remoteEphemeral, ephemeralEphemeral, staticEphemeral, keys.presharedKey);
  const payload = state.unseal(key, message.subarray(KEY_LENGTH));
  if (payload !== null) return { state, payload };
  state.clear();
  return null;
}

function mixResponse(
  state: SymmetricState,
  ephemeral: Uint8Array,
  ephemeralEphemeral: Uint8Array,
  staticEphemeral: Uint8Array,
  presharedKey: Uint8Array,
): Uint8Array {
  state.mixPublic(ephemeral);
  state.mixSecret(ephemeralEphemeral).fill(0);
  state.mixSecret(staticEphemeral).fill(0);
  return state.mixKeyAndHash(presharedKey);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts));
}
