import { describe, expect, it } from 'vitest';
import { WIREGUARD_TIMING as TIMING } from '../../src/protocol/constants.ts';
import { CookieChecker, CookieGenerator } from '../../src/protocol/cookie.ts';
import { hasValidMac1, mac1Key } from '../../src/protocol/mac.ts';
import { type CookieReply, decodeHandshake, encodeInitiation } from '../../src/protocol/messages.ts';
import { endpoint, seededBytes } from './support.ts';

const SOURCE = endpoint(1);
const SENDER = 77;

/** A generator and a checker of the same static key, and a message stamped at `nowMs`. */
function open() {
  const random = seededBytes(3);
  const publicKey = random(32);
  const checker = new CookieChecker(publicKey, TIMING, random);
  const generator = new CookieGenerator(publicKey, TIMING);
  const stamped = (nowMs: number): Uint8Array => {
    const message = encodeInitiation(SENDER, random(108));
    generator.stamp(message, nowMs);
    return message;
  };
  const reply = (message: Uint8Array, nowMs: number, source = SOURCE): CookieReply =>
    asReply(checker.reply(message, SENDER, source, nowMs));
  return { publicKey, checker, generator, stamped, reply };
}

function asReply(bytes: Uint8Array): CookieReply {
  const reply = decodeHandshake(bytes);
  if (reply?.type !== 3) throw new Error('expected a cookie reply');
  return reply;
}

describe('A cookie', () => {
  it('makes the next messages bear a mac2 that the checker takes', () => {
    const { publicKey, checker, generator, stamped, reply } = open();
    const first = stamped(0);
    expect(hasValidMac1(first, mac1Key(publicKey))).toBe(true);
    expect(checker.hasValidMac2(first, SOURCE, 0)).toBe(false);
    expect(generator.consume(reply(first, 1), 2)).toBe('taken');
    const second = stamped(5000);
    expect(hasValidMac1(second, mac1Key(publicKey))).toBe(true);
    expect(checker.hasValidMac2(second, SOURCE, 5001)).toBe(true);
  });

  it('is bound to address and port', () => {
    const { checker, generator, stamped, reply } = open();
    generator.consume(reply(stamped(0), 0), 0);
    const message = stamped(5000);
    expect(checker.hasValidMac2(message, endpoint(1, 51820), 5000)).toBe(true);
    expect(checker.hasValidMac2(message, endpoint(1, 51821), 5000)).toBe(false);
    expect(checker.hasValidMac2(message, endpoint(2, 51820), 5000)).toBe(false);
  });

  it('is refused by the checker from 120 s after its secret was made', () => {
    const { checker, generator, stamped, reply } = open();
    generator.consume(reply(stamped(0), 1000), 1000);
    const message = stamped(5000);
    expect(checker.hasValidMac2(message, SOURCE, 120_999)).toBe(true);
    expect(checker.hasValidMac2(message, SOURCE, 121_000)).toBe(false);
  });

  it('changes with the secret, which a reply renews after 120 s', () => {
    const { checker, generator, stamped, reply } = open();
    generator.consume(reply(stamped(0), 0), 0);
    const old = stamped(5000);
    reply(stamped(119_000), 119_000);
    expect(checker.hasValidMac2(old, SOURCE, 119_500)).toBe(true);
    reply(stamped(120_000), 120_000);
    expect(checker.hasValidMac2(old, SOURCE, 120_000)).toBe(false);
  });

  it('is used by the sender for 115 s', () => {
    const { generator, stamped, reply } = open();
    const hasMac2 = (message: Uint8Array): boolean => message.subarray(132).some((byte) => byte !== 0);
    generator.consume(reply(stamped(0), 0), 1000);
    expect(hasMac2(stamped(115_999))).toBe(true);
    expect(hasMac2(stamped(116_000))).toBe(false);
  });

  it('is taken only for the last message sent, and once', () => {
    const { generator, stamped, reply } = open();
    const first = stamped(0);
    const second = stamped(5000);
    expect(generator.consume(reply(first, 5000), 5000)).toBe('bad cookie');
    const answer = reply(second, 5000);
    expect(generator.consume(answer, 5000)).toBe('taken');
    expect(generator.consume(answer, 5000)).toBe('unexpected cookie');
  });

  it('is refused before any message was sent, and when any bit of its reply is changed', () => {
    const { generator, stamped, reply } = open();
    const other = open();
    expect(generator.consume(other.reply(other.stamped(0), 0), 0)).toBe('unexpected cookie');
    const answer = reply(stamped(0), 0).bytes;
    for (let bit = 8 * 8; bit < answer.length * 8; bit += 3) {
      const changed = Uint8Array.from(answer);
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(generator.consume(asReply(changed), 0)).toBe('bad cookie');
    }
    expect(generator.consume(asReply(answer), 0)).toBe('taken');
  });
});
