/**
 * Everything about the WireGuard protocol that is a number or a label: wire sizes and offsets in bytes, and the limits
 * and times of a keypair. Integers on the wire are little-endian. Sources: the WireGuard paper, sections 5.4 (messages)
 * and 6 (times and limits).
 */

/** Message types: the first byte of each message; the three bytes behind it are reserved and zero. */
export const MESSAGE_INITIATION = 1;
export const MESSAGE_RESPONSE = 2;
export const MESSAGE_COOKIE_REPLY = 3;
export const MESSAGE_TRANSPORT = 4;

/** Length of X25519 keys, hashes, chaining keys, preshared keys and AEAD keys, bytes. */
export const KEY_LENGTH = 32;
/** Length of an AEAD tag, bytes. */
export const TAG_LENGTH = 16;
/** Length of mac1, mac2 and of a cookie, bytes. */
export const MAC_LENGTH = 16;
/** Length of a TAI64N timestamp, bytes. */
export const TIMESTAMP_LENGTH = 12;
/** Length of the nonce of a cookie reply (XChaCha20-Poly1305), bytes. */
export const COOKIE_NONCE_LENGTH = 24;

/** Handshake initiation, type 1. */
export const INITIATION = {
  SENDER: 4,
  EPHEMERAL: 8,
  STATIC: 40,
  TIMESTAMP: 88,
  MAC1: 116,
  MAC2: 132,
  LENGTH: 148,
} as const;

/** Handshake response, type 2. */
export const RESPONSE = {
  SENDER: 4,
  RECEIVER: 8,
  EPHEMERAL: 12,
  EMPTY: 44,
  MAC1: 60,
  MAC2: 76,
  LENGTH: 92,
} as const;

/** Cookie reply, type 3. */
export const COOKIE_REPLY = { RECEIVER: 4, NONCE: 8, COOKIE: 32, LENGTH: 64 } as const;

/** DSCP AF41 for handshake messages, as the kernel module sets it (its HANDSHAKE_DSCP). */
export const HANDSHAKE_TRAFFIC_CLASS = 0x88;

/** Transport message, type 4: this header (type, receiver index, counter), then the sealed inner packet and its tag. */
export const TRANSPORT_HEADER_LENGTH = 16;
export const TRANSPORT_RECEIVER_OFFSET = 4;
/** A 64-bit counter, of which gigatun uses the lower 53 bits. */
export const TRANSPORT_COUNTER_OFFSET = 8;
/** A keepalive: header and tag around an empty inner packet. */
export const TRANSPORT_LENGTH_MIN = 32;

/** Inner packets are padded with zeros to a multiple of this, bytes. */
export const PADDING_MULTIPLE = 16;

/** WireGuard's Noise prologue. */
export const NOISE_PROLOGUE = 'WireGuard v1 zx2c4 Jason@zx2c4.com';
/** Hashed with the receiver's static public key into the key of mac1. */
export const LABEL_MAC1 = 'mac1----';
/** Hashed with the static public key of the cookie's sender into the key of the cookie reply. */
export const LABEL_COOKIE = 'cookie--';

/**
 * Transport counters from which a new handshake is started, and from which a keypair is refused. The paper has 2^60 and
 * 2^64 - 2^13 - 1. Counters are Numbers here, exact below 2^53, so the limits keep the paper's distances below 2^53;
 * at 100 million messages a second a keypair reaches 2^35 in its life of 180 s, so no peer can see the difference.
 */
export const REKEY_AFTER_MESSAGES: number = 2 ** 52;
/** See REKEY_AFTER_MESSAGES: a message with this counter or a higher one is neither sent nor accepted. */
export const REJECT_AFTER_MESSAGES: number = 2 ** 53 - 2 ** 13 - 1;

/** Peers that one device holds at most, unless it is told otherwise. */
export const PEERS_MAX: number = 2 ** 16;

/** Every time of the protocol, in milliseconds. Tests pass shorter ones; both ends must agree. */
export interface Timing {
  /** The initiator replaces a keypair of this age when it sends on it. */
  readonly REKEY_AFTER_TIME_MS: number;
  /** A keypair of this age is refused; three times this after the last one was made, key material is zeroed. */
  readonly REJECT_AFTER_TIME_MS: number;
  /** Retransmission of an initiation is given up after this, counted from the last wish to send. */
  readonly REKEY_ATTEMPT_TIME_MS: number;
  /** An unanswered initiation is sent again after this (and jitter); no two are sent closer together. */
  readonly REKEY_TIMEOUT_MS: number;
  /** Jitter is a whole number of milliseconds from 0 to this. */
  readonly REKEY_TIMEOUT_JITTER_MS_MAX: number;
  /** After this without a word of our own, received data is answered with a keepalive. */
  readonly KEEPALIVE_TIMEOUT_MS: number;
  /** Life of a cookie secret, and of a cookie that was received. */
  readonly COOKIE_REFRESH_TIME_MS: number;
  /** A received cookie is used this much shorter than its life, for it may have been old when it was sent. */
  readonly COOKIE_SECRET_LATENCY_MS: number;
  /** Initiations of one peer that come closer together are refused. */
  readonly INITIATION_INTERVAL_MS_MIN: number;
}

/** The times of the paper, section 6.1, and of the reference implementations. */
export const WIREGUARD_TIMING: Timing = {
  REKEY_AFTER_TIME_MS: 120_000,
  REJECT_AFTER_TIME_MS: 180_000,
  REKEY_ATTEMPT_TIME_MS: 90_000,
  REKEY_TIMEOUT_MS: 5_000,
  REKEY_TIMEOUT_JITTER_MS_MAX: 333,
  KEEPALIVE_TIMEOUT_MS: 10_000,
  COOKIE_REFRESH_TIME_MS: 120_000,
  COOKIE_SECRET_LATENCY_MS: 5_000,
  INITIATION_INTERVAL_MS_MIN: 20,
};

/** Age from which the initiator replaces a keypair that it receives on: 165 s with the paper's times. */
export function rekeyOnReceiveAgeMs(timing: Timing): number {
  return timing.REJECT_AFTER_TIME_MS - timing.KEEPALIVE_TIMEOUT_MS - timing.REKEY_TIMEOUT_MS;
}

/** Silence after data was sent that starts a new handshake, without its jitter: 15 s with the paper's times. */
export function newHandshakeTimeoutMs(timing: Timing): number {
  return timing.KEEPALIVE_TIMEOUT_MS + timing.REKEY_TIMEOUT_MS;
}

/** Time after the last new keypair when all key material of a peer is zeroed: 540 s with the paper's times. */
export function zeroKeyMaterialMs(timing: Timing): number {
  return 3 * timing.REJECT_AFTER_TIME_MS;
}
