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
  /** What initiations under way were to try besides, by key. */
  readonly besides: Map<string, readonly NumericEndpoint[]>;
  nowMs: number;
  /** What the resolver says; null: it fails. */
  answer: readonly string[] | null;
  /** Lets answers arrive. */
  settle(): Promise<void>;
  /** Where an initiation goes that nobody answered the one before, five seconds after that; null: to the endpoint alone. */
  retry(key: Uint8Array, silentMs?: number, endpoint?: NumericEndpoint | null): Promise<string[] | null>;
}

const PORT = 51_820;

function keyOf(at: number): Uint8Array {
  return new Uint8Array(32).fill(at);
}

function place(address: string, port = PORT): NumericEndpoint {
  return { address, port };
}

function trial(): Trial {
  const asked: string[] = [];
  const besides = new Map<string, readonly NumericEndpoint[]>();
  const each: Trial = {
    ...{ asked, besides, nowMs: 1_000_000, answer: [V4, V6] },
    watch: new NameWatch({
      nowMs: () => each.nowMs,
      log: keptLog().log,
      alsoTry: (publicKey, endpoints) => besides.set(formatKey(publicKey), endpoints),
      lookup: async (host) => {
        asked.push(host);
        if (each.answer === null) throw Object.assign(new Error('no answer'), { code: 'EAI_AGAIN' });
        return each.answer;
      },
    }),
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    retry: async (publicKey, silentMs = NEVER, endpoint = place(V4)) => {
      each.nowMs += 5_000;
      const found = each.watch.candidates({ publicKey, endpoint, silentMs, isRetry: true });
      await each.settle();
      return found?.map(({ address }) => address) ?? null;
    },
  };
  return each;
}

/** A peer with the name `a.example`. */
function watched(each: Trial, at = 1, host = 'a.example', addresses: readonly string[] = [V4, V6]): Uint8Array {
  const key = keyOf(at);
  each.watch.watch(formatKey(key), { host, port: PORT }, addresses);
  return key;
}

describe('a peer that was never heard', () => {
  it('is tried at both families from the first initiation on', () => {
    const each = trial();
    const first = { publicKey: watched(each), endpoint: place(V4), silentMs: NEVER, isRetry: false };
    expect(each.watch.candidates(first)).toEqual([place(V4), place(V6)]);
    expect(each.watch.candidates({ ...first, endpoint: place(V6) })).toEqual([place(V6), place(V4)]);
    expect(each.watch.candidates({ ...first, endpoint: null })).toEqual([place(V4), place(V6)]);
    expect(each.asked).toEqual([]);
  });

  it('is tried where its name leads as soon as that is known', async () => {
    const each = trial();
    const key = watched(each, 1, 'a.example', [V4]);
    each.answer = [NEW, V6];
    expect(await each.retry(key)).toEqual([V4]);
    expect(each.asked).toEqual(['a.example']);
    expect(each.besides.get(formatKey(key))).toEqual([place(NEW), place(V6)]);
    expect(await each.retry(key)).toEqual([V4, V6, NEW]);
  });
});

describe('a peer that falls silent', () => {
  it('is tried where it was and at all addresses of its name, families in turn', async () => {
    const each = trial();
    const key = watched(each, 1, 'a.example', [V4, V6, NEW]);
    each.answer = [V4, V6, NEW];
    expect(await each.retry(key, 15_000)).toEqual([V4, V6, NEW]);
    expect(await each.retry(key, 15_000, place('203.0.113.5', 7_777))).toEqual(['203.0.113.5', V6, V4, NEW]);
    expect(await each.retry(key, 15_000, place('2001:db8::5', 7_777))).toEqual(['2001:db8::5', V4, V6, NEW]);
  });

  it('is tried at four addresses at a time, and at all of many in turn', async () => {
    const each = trial();
    const many = [1, 2, 3, 4, 5, 6, 7].map((host) => `198.51.100.${host}`);
    const key = watched(each, 1, 'a.example', many);
    each.answer = many;
    const tried = new Set<string>();
    for (let tries = 0; tries < 3; tries++) {
      const places = await each.retry(key);
      expect(places).toHaveLength(4);
      for (const address of places ?? []) tried.add(address);
    }
    expect([...tried].sort()).toEqual([V4, ...many].sort());
  });

  it('but is heard on the session that it has is tried there alone, and its name is not asked for', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = [NEW];
    for (let tries = 0; tries < 20; tries++) expect(await each.retry(key, 3_000)).toBe(null);
    expect(each.asked).toEqual([]);
  });

  it('is asked where it was, and nowhere else, when it was only idle', () => {
    const each = trial();
    const idle = { publicKey: watched(each), endpoint: place(V4), silentMs: 600_000, isRetry: false };
    expect(each.watch.candidates(idle)).toBe(null);
    expect(each.asked).toEqual([]);
  });

  it('keeps its addresses when nobody knows its name', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = null;
    for (let tries = 0; tries < 4; tries++) expect(await each.retry(key)).toEqual([V4, V6]);
    expect(each.besides.size).toBe(0);
  });
});

describe('look-ups', () => {
  it('come less and less often, and at once again after the peer was heard', async () => {
    const each = trial();
    const key = watched(each);
    const times: number[] = [];
    for (let seconds = 0; seconds < 3_600; seconds += 5) {
      await each.retry(key);
      if (each.asked.splice(0).length > 0) times.push(seconds);
    }
    const gaps = times.slice(1).map((time, at) => time - (times[at] ?? 0));
    expect(gaps.slice(0, 6)).toEqual([10, 20, 40, 80, 160, 300]);
    expect(Math.max(...gaps)).toBe(300);
    each.nowMs += 600_000;
    await each.retry(key, 15_000);
    await each.retry(key, 20_000);
    await each.retry(key, 25_000);
    expect(each.asked).toHaveLength(2);
  });

  it('are two at a time and twenty a second at most, however many peers are silent', async () => {
    const each = trial();
    const keys = Array.from({ length: 200 }, (_, at) => watched(each, at + 1, `peer-${at}.example`));
    const tell = (): void => {
      const rest = { endpoint: null, silentMs: NEVER, isRetry: true };
      for (const publicKey of keys) each.watch.candidates({ publicKey, ...rest });
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
    await each.retry(one, 15_000);
    expect(await each.retry(other, 15_000)).toEqual([V4, NEW]);
    expect(each.asked).toEqual(['a.example']);
  });

  it('tell all of its peers that are silent, and no others', async () => {
    const each = trial();
    const [one, other] = [watched(each, 1), watched(each, 2)];
    watched(each, 3);
    watched(each, 4, 'b.example');
    const first = { publicKey: other, endpoint: place(V4), silentMs: NEVER, isRetry: false };
    each.watch.candidates(first);
    each.answer = [NEW];
    await each.retry(one, 15_000);
    expect([...each.besides.keys()].sort()).toEqual([one, other].map(formatKey).sort());
  });
});

describe('a peer that is forgotten', () => {
  it('is left alone, and so is its name when it was the last', async () => {
    const each = trial();
    const [one, other] = [watched(each, 1), watched(each, 2)];
    each.watch.forget(formatKey(one));
    expect(await each.retry(one)).toBe(null);
    expect(each.watch.size).toBe(1);
    each.watch.forget(formatKey(other));
    expect(each.watch.size).toBe(0);
    each.watch.forget(formatKey(other));
  });

  it('while its name is looked up is left alone', async () => {
    const each = trial();
    const key = watched(each);
    each.answer = [NEW];
    each.watch.candidates({ publicKey: key, endpoint: null, silentMs: 15_000, isRetry: true });
    each.watch.close();
    await each.settle();
    expect(each.besides.size).toBe(0);
    expect(await each.retry(key)).toBe(null);
  });
});
