/**
 * Settings of `[Peer]` for sending more than once: copies, repeats, order, forward error correction, paths. What they say
 * is gathered in a draft; `finishHistory` fills in what follows from it, and warns of what has no effect.
 */
import {
  COPIES_MAX,
  type CopySettings,
  FEC_DATA_MAX,
  FEC_PARITY_MAX,
  type FecSettings,
  isPlain,
  keepsSent,
  NO_HISTORY,
} from '../history/settings.ts';
import { PATHS_MAX } from '../path/path-types.ts';
import type { Place } from './config-lines.ts';
import type { ConfigProblems } from './config-problems.ts';
import { type KeyRule, rule } from './config-rule.ts';
import type { HistoryFileSettings, PathFileSettings } from './config-types.ts';
import {
  readCopies,
  readCopyBudget,
  readCopyDelay,
  readCopyOnly,
  readCopyWhen,
  readFec,
  readFecDelay,
  readHistoryBytes,
  readHoldTime,
  readInOrder,
  readPath,
  readPathMode,
  readRetransmit,
  readRetransmitBudget,
  withChoice,
} from './history-values.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What the settings of one `[Peer]` have said so far. */
export interface HistoryDraft extends Mutable<Omit<HistoryFileSettings, 'copies' | 'fec' | 'paths'>> {
  readonly copies: Mutable<CopySettings>;
  readonly fec: Mutable<FecSettings>;
  readonly paths: PathFileSettings[];
}

/** A draft of which a `[Peer]` is made. */
export interface WithHistoryDraft {
  readonly history: HistoryDraft;
}

export function emptyHistory(): HistoryDraft {
  const { copies, fec, ...rest } = NO_HISTORY;
  return { ...rest, copies: { ...copies }, fec: { ...fec }, paths: [] };
}

type Store<Value> = (draft: WithHistoryDraft, value: Value) => void;

const inHistory =
  <Key extends keyof HistoryDraft>(key: Key): Store<HistoryDraft[Key]> =>
  ({ history }, value) => {
    history[key] = value;
  };
const inCopies =
  <Key extends keyof CopySettings>(key: Key): Store<CopySettings[Key]> =>
  ({ history }, value) => {
    history.copies[key] = value;
  };

/** Settings of `[Peer]`. */
export const HISTORY_SETTINGS: readonly KeyRule<WithHistoryDraft>[] = [
  rule(
    'Copies',
    'once',
    readCopies,
    inCopies('count'),
    `How often each datagram is sent in all, 1 to ${COPIES_MAX}: over as many paths, else over the same; absent: 1.`,
  ),
  rule(
    'CopyDelay',
    'once',
    readCopyDelay,
    inCopies('delayMs'),
    'Time between two sendings of a datagram over the same path, as in 40ms; absent: at once.',
  ),
  rule(
    'CopyOnly',
    'list',
    readCopyOnly,
    ({ history }, choice) => {
      history.copies.only = withChoice(history.copies.only, choice);
    },
    'Copies only of what is named: small (up to 256 bytes), handshake (and keepalives), dscp:NUMBER or a name, as in dscp:ef; absent: of all.',
  ),
  rule(
    'CopyWhen',
    'once',
    readCopyWhen,
    inCopies('when'),
    'Copies always, or only while the measured loss asks for them: always or loss; absent: always.',
  ),
  rule(
    'CopyBudget',
    'once',
    readCopyBudget,
    inCopies('budget'),
    'Most copies, as a share of what is sent, as in 50%; absent: as many as Copies says.',
  ),
  rule(
    'Retransmit',
    'once',
    readRetransmit,
    inHistory('retransmitMs'),
    'How long a datagram that is missing is asked for and sent again, as in 150ms, or off; the peer must be a gigatun that has it on too; absent: off.',
  ),
  rule(
    'RetransmitBudget',
    'once',
    readRetransmitBudget,
    inHistory('retransmitBudget'),
    'Most repeats, as a share of what is sent; absent: 25%.',
  ),
  rule(
    'InOrder',
    'once',
    readInOrder,
    inHistory('inOrder'),
    'Which inner packets wait for those that were sent before them: off, tcp or all; absent: tcp with PathMode weighted, else off.',
  ),
  rule(
    'HoldTime',
    'once',
    readHoldTime,
    inHistory('holdMs'),
    'Longest such wait, as in 80ms, or auto: as long as a repeat may take, 50ms without repeats; absent: auto.',
  ),
  rule(
    'Fec',
    'once',
    readFec,
    ({ history }, block) => {
      Object.assign(history.fec, block);
    },
    `Forward error correction: off, auto (where repeats come too late), or datagrams and parities of a block, as in 10+2, at most ${FEC_DATA_MAX}+${FEC_PARITY_MAX}; absent: off.`,
  ),
  rule(
    'FecDelay',
    'once',
    readFecDelay,
    ({ history }, delayMs) => {
      history.fec.delayMs = delayMs;
    },
    'After this time a block that is not full is closed; absent: 20ms.',
  ),
  rule(
    'History',
    'once',
    readHistoryBytes,
    inHistory('ringBytes'),
    'Sealed datagrams that are kept to be sent again, 1MiB to 64MiB; absent: 4MiB.',
  ),
  rule(
    'Path',
    'lines',
    readPath,
    ({ history }, path) => {
      history.paths.push(path);
    },
    `A path, one a line, at most ${PATHS_MAX}: NAME [local=ADDRESS or INTERFACE] [endpoint=HOST:PORT] [weight=N] [backup]; without endpoint: the Endpoint.`,
  ),
  rule(
    'PathMode',
    'once',
    readPathMode,
    inHistory('pathMode'),
    'Which paths are used: failover, redundant, weighted, lowest-latency, or follow (where the peer sends from); absent: failover with paths, else follow.',
  ),
];

/** What a setting needs to have an effect. */
const NEEDS: readonly [string, (draft: HistoryDraft) => boolean, string][] = [
  ['CopyDelay', ({ copies }) => copies.count > 1, 'Copies'],
  ['CopyOnly', ({ copies }) => copies.count > 1, 'Copies'],
  ['CopyWhen', ({ copies }) => copies.count > 1, 'Copies'],
  ['CopyBudget', ({ copies }) => copies.count > 1, 'Copies'],
  ['RetransmitBudget', ({ retransmitMs }) => retransmitMs > 0, 'Retransmit'],
  ['HoldTime', ({ inOrder }) => inOrder !== 'off', 'InOrder'],
  ['FecDelay', ({ fec }) => fec.mode !== 'off', 'Fec'],
  ['History', (draft) => keepsSent(draft), 'Retransmit, Fec or CopyDelay'],
];

/** The settings of a peer that asks for any of this; null for one that does not. `seen`: where each key stood. */
export function finishHistory(
  draft: HistoryDraft,
  seen: ReadonlyMap<string, Place>,
  problems: ConfigProblems,
): HistoryFileSettings | null {
  if (!seen.has('CopyBudget')) draft.copies.budget = Math.max(1, draft.copies.count - 1);
  if (!seen.has('InOrder') && draft.pathMode === 'weighted') draft.inOrder = 'tcp';
  checkPaths(draft.paths, seen.get('Path'), problems);
  for (const [key, holds, needed] of NEEDS) {
    const place = seen.get(key);
    if (place !== undefined && !holds(draft)) problems.warn(place, `${key} has no effect without ${needed}`);
  }
  return isPlain(draft) ? null : draft;
}

function checkPaths(paths: readonly PathFileSettings[], place: Place | undefined, problems: ConfigProblems): void {
  if (place === undefined) return;
  const names = paths.map(({ name }) => name);
  const repeated = names.find((name, at) => names.indexOf(name) !== at);
  if (repeated !== undefined) problems.add(place, 'a name of its own for each Path', `${repeated} twice`, 'rename one');
  if (paths.length > PATHS_MAX) problems.add(place, `at most ${PATHS_MAX} paths`, `${paths.length}`, 'remove some');
}
