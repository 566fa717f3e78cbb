/** Names of endpoints while peers are silent: minutes of fake time, a resolver that is told what to say, and no peer. */
import { describe, expect, it } from 'vitest';
import type { NumericEndpoint } from '../../src/control/config-types.ts';
import { formatKey } from '../../src/control/key-text.ts';
import { NameWatch } from '../../src/control/name-watch.ts';
import { keptLog } from './support/fakes.ts';

const [V4, V6, NEW] = ['192.0.2.1', '2001:db8::1', '198.51.100.9'];
const NEVER = Number.POSITIVE_INFINITY;

interface Trial {
  readonly watch: NameWatch;
  /** Names asked for, in order. */
  readonly asked: string[];
  readonly at: Map<string, NumericEndpoint>;
  nowMs: number;
  /** What the resolver says; null: it fails. */
  answer: readonly string[] | null;
  /** Lets answers arrive. */
  settle(): Promise<void>;
  /** One initiation without an answer, five seconds after the last; where the next goes. */
  unanswered(key: Uint8Array, silentMs?: number): Promise<string | undefined>;
}

function keyOf(at: number): Uint8Array {
  return new Uint8Array(32).fill(at);
}

function trial(): Trial {
  const asked: string[] = [];
  const at = new Map<string, NumericEndpoint>();
  const each: Trial = {
    ...{ asked, at, nowMs: 1_000_000, answer: [V4, V6] },
    watch: new NameWatch({
      nowMs: () => each.nowMs,
      log: keptLog().log,
      move: (publicKey, endpoint) => at.set(formatKey(publicKey), endpoint),
      lookup: async (host) => {
        asked.push(host);
        if (each.answer === null) throw Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' });
        return each.answer;
      },
    }),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    unanswered: async (key, silentMs = NEVER) => {
      each.nowMs += 5_000;
      each.watch.unanswered({ publicKey: key, endpoint: at.get(formatKey(key)) ?? null, silentMs });
      await each.settle();
      return at.get(formatKey(key))?.address;
    },
  };
  return each;
}

/** A peer with the name `a.example`, at the first of its addresses. */
function watched(each: Trial, at = 1, host = 'a.example', addresses: readonly string[] = [V4, V6]): Uint8Array {
  const key = keyOf(at);
  each.watch.watch(formatKey(key), { host, port: 51_820 }, addresses);
  each.at.set(formatKey(key), { address: addresses[0] ?? '', port: 51_820 });
  return key;
}

describe('a peer that was never heard', () => {
  it('is tried at each address of its name in turn', async () => {
    const each = trial();
    const key = watched(each);
    const places = [];
    for (let tries = 0; tries < 4; tries++) places.push(await each.unanswered(key));
    expect(places).toEqual([V6, V4, V6, V4]);
    expect(each.at.get(formatKey(key))?.port).toBe(51_820);
  });

  it('with one address stays there, until its name has another', async () => {
    const each = trial();
    each.answer = [V4];
    const key = watched(each, 1, 'a.example', [V4]);
    expect([await each.unanswered(key), await each.unanswered(key)]).toEqual([V4, V4]);
    each.answer = [NEW];
    each.nowMs += 60_000;
    expect(await each.unanswered(key)).toBe(V4);
    expect(await each.unanswered(key)).toBe(NEW);
  });
});

describe('a peer that falls silent', () => {
  it('is waited for where it was, then tried at the other addresses', async () => {
    const each = trial();
    const key = watched(each);
    const places = [];
    for (let tries = 0; tries < 5; tries++) places.push(await each.unanswered(key, 15_000 + tries * 5_000));
    expect(places).toEqual([V4, V4, V6, V4, V6]);
  });

  it('and whose name has another address by now is there at the next initiation', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = [NEW];
    expect(await each.unanswered(key, 15_000)).toBe(V4);
    expect(each.asked).toEqual(['a.example']);
    expect(await each.unanswered(key, 20_000)).toBe(NEW);
  });

  it('where it had roamed to is tried there too, in turn with its name', async () => {
    const each = trial();
    const key = watched(each);
    const roamed = { address: '203.0.113.5', port: 7_777 };
    each.at.set(formatKey(key), roamed);
    const places = [];
    for (let tries = 0; tries < 6; tries++) places.push(await each.unanswered(key, 15_000 + tries * 5_000));
    expect(places).toEqual([roamed.address, roamed.address, V4, V6, roamed.address, V4]);
  });

  it('but is heard on the session that it has is not moved, nor is its name asked for', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = [NEW];
    for (let tries = 0; tries < 20; tries++) expect(await each.unanswered(key, 3_000)).toBe(V4);
    expect(each.asked).toEqual([]);
  });

  it('keeps its addresses when nobody knows its name', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = null;
    const places = [];
    for (let tries = 0; tries < 4; tries++) places.push(await each.unanswered(key));
    expect(places).toEqual([V6, V4, V6, V4]);
  });
});

describe('look-ups', () => {
  it('come less and less often, and at once again after the peer was heard', async () => {
    const each = trial();
    const key = watched(each);
    const times: number[] = [];
    for (let seconds = 0; seconds < 3_600; seconds += 5) {
      await each.unanswered(key);
      if (each.asked.splice(0).length > 0) times.push(seconds);
    }
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0));
    expect(gaps.slice(0, 6)).toEqual([10, 20, 40, 80, 160, 300]);
    expect(Math.max(...gaps)).toBe(300);
    each.nowMs += 600_000;
    await each.unanswered(key, 15_000);
    await each.unanswered(key, 20_000);
    await each.unanswered(key, 25_000);
    expect(each.asked).toHaveLength(2);
  });

  it('are two at a time and twenty a second at most, however many peers are silent', async () => {
    const each = trial();
    const keys = Array.from({ length: 200 }, (_, at) => watched(each, at + 1, `peer-${at}.example`));
    const tell = (): void => {
      for (const key of keys) each.watch.unanswered({ publicKey: key, endpoint: null, silentMs: NEVER });
    };
    tell();
    expect(each.asked).toHaveLength(1);
    each.nowMs += 50;
    tell();
    expect(each.asked).toHaveLength(2);
    each.nowMs += 50;
    tell();
    expect(each.asked).toHaveLength(2);
    await each.settle();
    tell();
    expect(each.asked).toHaveLength(3);
  });

  it('serve all peers of one name', async () => {
    const each = trial();
    const [one, other] = [watched(each, 1), watched(each, 2)];
    each.answer = [NEW];
    await each.unanswered(one, 15_000);
    await each.unanswered(other, 15_000);
    expect(each.asked).toEqual(['a.example']);
    expect(await each.unanswered(other, 20_000)).toBe(NEW);
  });
});

describe('a peer that is forgotten', () => {
  it('is left alone, and so is its name when it was the last', async () => {
    const each = trial();
    const [one, other] = [watched(each, 1), watched(each, 2)];
    each.watch.forget(formatKey(one));
    expect(await each.unanswered(one)).toBe(V4);
    expect(each.watch.size).toBe(1);
    each.watch.forget(formatKey(other));
    expect(each.watch.size).toBe(0);
    each.watch.forget(formatKey(other));
  });

  it('while its name is looked up is not moved', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = [NEW];
    each.watch.unanswered({ publicKey: key, endpoint: null, silentMs: 15_000 });
    each.watch.close();
    await each.settle();
    expect(await each.unanswered(key)).toBe(V4);
  });
});
