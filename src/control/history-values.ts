/**
 * The kinds of value of settings for sending more than once: times and shares with their units, which datagrams are
 * copied, paths. As in `config-values.ts`, each reader gives the value or a complaint.
 */
import type { CopyFilter, FecSettings, HistorySettings } from '../history/settings.ts';
import {
  COPIES_MAX,
  DELAY_MS_MAX,
  FEC_DATA_MAX,
  FEC_PARITY_MAX,
  NO_HISTORY,
  RING_BYTES_MAX,
  RING_BYTES_MIN,
  WAIT_MS_MAX,
} from '../history/settings.ts';
import { PATH_MODES, type PathMode, WEIGHT_MAX } from '../path/path-types.ts';
import { quoteValue } from './config-problems.ts';
import type { PathFileSettings } from './config-types.ts';
import { bad, integerReader, isWord, ok, type Reading, readEndpoint, type ValueReader } from './config-values.ts';
import { INTERFACE_NAME_RULE, isInterfaceName } from './interface-name.ts';
import { parseAddress } from './ip-text.ts';

const PATH_NAME = /^[a-zA-Z0-9_.-]{1,15}$/;
/** Names of differentiated services code points: RFC 2474, 2597, 3246, 5865, 8622. */
const DSCP_NAMES: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 8 }, (_, number) => [`cs${number}`, 8 * number] as const),
  ...Array.from({ length: 12 }, (_, at) => {
    const [group, precedence] = [1 + Math.floor(at / 3), 1 + (at % 3)];
    return [`af${group}${precedence}`, 8 * group + 2 * precedence] as const;
  }),
  ['ef', 46],
  ['va', 44],
  ['le', 1],
]);

/** A part of a filter of what is copied. */
export type CopyChoice = 'small' | 'handshake' | { readonly dscp: number };

export const readCopies: ValueReader<number> = integerReader(
  'how often each datagram is sent in all,',
  1,
  COPIES_MAX,
  '1 is once, as WireGuard does it',
);

export const readCopyDelay: ValueReader<number> = durationReader('a delay', 0, DELAY_MS_MAX, 'as in 40ms');
export const readFecDelay: ValueReader<number> = durationReader('a delay', 1, DELAY_MS_MAX, 'as in 20ms');
const readRetransmitTime = durationReader('"off" or a time', 1, WAIT_MS_MAX, 'as in 150ms');
const readWait = durationReader('"auto" or a time', 1, WAIT_MS_MAX, 'as in 80ms');

/** Milliseconds; 0 for off. */
export const readRetransmit: ValueReader<number> = (text) => (isWord(text, 'off') ? ok(0) : readRetransmitTime(text));

/** Milliseconds; null for auto. */
export const readHoldTime: ValueReader<number | null> = (text) => (isWord(text, 'auto') ? ok(null) : readWait(text));

export const readCopyBudget: ValueReader<number> = shareReader((COPIES_MAX - 1) * 100, 'of what is sent, as in 50%');
export const readRetransmitBudget: ValueReader<number> = shareReader(100, 'of what is sent, as in 25%');

/** One part of `CopyOnly`. */
export const readCopyOnly: ValueReader<CopyChoice> = (text) => {
  if (isWord(text, 'small')) return ok('small');
  if (isWord(text, 'handshake')) return ok('handshake');
  const name = /^dscp:(\w+)$/i.exec(text)?.[1]?.toLowerCase() ?? '';
  const dscp = /^\d{1,2}$/.test(name) ? Number(name) : (DSCP_NAMES.get(name) ?? 64);
  if (dscp < 64) return ok({ dscp });
  return bad('small, handshake or dscp:NUMBER', quoteValue(text), 'dscp is from 0 to 63, or a name, as in dscp:ef');
};

export const readCopyWhen: ValueReader<'always' | 'loss'> = wordReader(['always', 'loss']);
export const readInOrder: ValueReader<HistorySettings['inOrder']> = wordReader(['off', 'tcp', 'all']);
export const readPathMode: ValueReader<PathMode> = wordReader(PATH_MODES);

/** Mode, and datagrams and parities of a block. */
export const readFec: ValueReader<Pick<FecSettings, 'mode' | 'data' | 'parity'>> = (text) => {
  const { data, parity } = NO_HISTORY.fec;
  if (isWord(text, 'off')) return ok({ mode: 'off', data, parity });
  if (isWord(text, 'auto')) return ok({ mode: 'auto', data, parity });
  const [, dataText, parityText] = /^(\d{1,3}) ?\+ ?(\d{1,3})$/.exec(text) ?? [];
  const block = { mode: 'on' as const, data: Number(dataText), parity: Number(parityText) };
  const fits = block.data >= 1 && block.data <= FEC_DATA_MAX && block.parity >= 1 && block.parity <= FEC_PARITY_MAX;
  if (fits) return ok(block);
  const most = `${FEC_DATA_MAX}+${FEC_PARITY_MAX}`;
  return bad('off, auto or DATAGRAMS+PARITIES', quoteValue(text), `as in 10+2, at most ${most}`);
};

/** Bytes, from a number with KiB or MiB. */
export const readHistoryBytes: ValueReader<number> = (text) => {
  const [, number = '', unit = ''] = /^(\d{1,9}) ?([km]ib)$/i.exec(text) ?? [];
  const bytes = Number(number) * (unit.toLowerCase() === 'kib' ? 1_024 : 1_048_576);
  if (number !== '' && bytes >= RING_BYTES_MIN && bytes <= RING_BYTES_MAX) return ok(bytes);
  const range = `from ${RING_BYTES_MIN / 1_048_576}MiB to ${RING_BYTES_MAX / 1_048_576}MiB`;
  return bad(`a size ${range}`, quoteValue(text), 'commonly 4MiB');
};

/** `NAME [local=ADDRESS|INTERFACE] [endpoint=HOST:PORT] [weight=N] [backup]`, words in any order behind the name. */
export const readPath: ValueReader<PathFileSettings> = (text) => {
  const [name = '', ...words] = text.split(/[ \t]+/);
  if (!PATH_NAME.test(name)) {
    return bad('a name of 1 to 15 letters, digits, - _ or .', quoteValue(name), 'as in: Path = dsl local=eth0');
  }
  let path: PathFileSettings = {
    ...{ name, localAddress: null, localInterface: null, endpoint: null, weight: 1, isBackup: false },
  };
  const seen = new Set<string>();
  for (const word of words) {
    const [given = '', ...rest] = word.split('=');
    const key = given.toLowerCase();
    if (seen.has(key)) return bad(`one ${key}`, 'a second one', 'remove one');
    seen.add(key);
    const reading = readPathWord(key, rest.join('='), word);
    if (!reading.ok) return reading;
    path = { ...path, ...reading.value };
  }
  return ok(path);
};

function readPathWord(key: string, value: string, word: string): Reading<Partial<PathFileSettings>> {
  if (key === 'backup' && word.length === key.length) return ok({ isBackup: true });
  if (key === 'local') return readLocal(value);
  if (key === 'weight') return mapped(readWeight(value), (weight) => ({ weight }));
  if (key === 'endpoint') return mapped(readEndpoint(value), (endpoint) => ({ endpoint }));
  const known = 'local=, endpoint=, weight= or backup';
  return bad(known, quoteValue(word), 'as in: Path = lte local=wwan0 endpoint=198.51.100.1:51820 backup');
}

const readWeight = integerReader('a weight', 1, WEIGHT_MAX, 'shares are measured; this is the first guess');

function readLocal(value: string): Reading<Partial<PathFileSettings>> {
  if (parseAddress(value) !== null) return ok({ localAddress: value });
  if (isInterfaceName(value)) return ok({ localInterface: value });
  return bad('a numeric address or an interface behind local=', quoteValue(value), INTERFACE_NAME_RULE);
}

function mapped<From, To>(reading: Reading<From>, change: (value: From) => To): Reading<To> {
  return reading.ok ? ok(change(reading.value)) : reading;
}

/** Milliseconds, from a number with `ms` or `s`. */
function durationReader(what: string, leastMs: number, mostMs: number, hint: string): ValueReader<number> {
  return (text) => {
    const [, number = '', unit = ''] = /^(\d{1,6}(?:\.\d{1,3})?) ?(ms|s)$/i.exec(text) ?? [];
    const us = Math.round(Number(number) * (unit.toLowerCase() === 's' ? 1e6 : 1e3));
    const durationMs = number === '' ? Number.NaN : us / 1_000;
    if (durationMs >= leastMs && durationMs <= mostMs) return ok(durationMs);
    const isBare = /^\d+$/.test(text);
    const range = `${what} from ${leastMs}ms to ${mostMs / 1_000}s`;
    return bad(range, quoteValue(text), isBare ? 'give its unit, ms or s' : hint);
  };
}

/** A share, from whole percent: 1 is all. */
function shareReader(percentMax: number, hint: string): ValueReader<number> {
  return (text) => {
    const percent = Number(/^(\d{1,4}) ?%$/.exec(text)?.[1] ?? Number.NaN);
    if (percent >= 1 && percent <= percentMax) return ok(percent / 100);
    return bad(`a share from 1% to ${percentMax}%`, quoteValue(text), hint);
  };
}

function wordReader<Word extends string>(words: readonly Word[]): ValueReader<Word> {
  return (text) => {
    const word = words.find((known) => isWord(text, known));
    if (word !== undefined) return ok(word);
    return bad(`one of ${words.join(', ')}`, quoteValue(text), 'write one of them');
  };
}

/** Adds a part to a filter. */
export function withChoice(filter: CopyFilter | null, choice: CopyChoice): CopyFilter {
  const { small, handshake, dscps } = filter ?? { small: false, handshake: false, dscps: [] };
  if (choice === 'small') return { small: true, handshake, dscps };
  if (choice === 'handshake') return { small, handshake: true, dscps };
  return { small, handshake, dscps: [...new Set([...dscps, choice.dscp])].sort((left, right) => left - right) };
}
