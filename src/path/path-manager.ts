/**
 * One peer's paths: those of the configuration, and those that the peer brought. Each is probed (a gigatun) or watched (a
 * stock peer); from what each is like, and the mode, follows what lanes are told. Pure: time and random numbers are
 * arguments, probes and answers are results.
 *
 * An address that the peer brings counts for nothing until it has answered a probe that was sent to it; in mode `follow`,
 * which is WireGuard's own, data that comes from there moves the endpoint as ever.
 */
import { type Endpoint, isSameRemote } from '../packet/endpoint.ts';
import type { ControlMessage } from '../protocol/control-message.ts';
import { type Candidate, choosePaths } from './path-choice.ts';
import type { PathTraffic } from './path-health.ts';
import { isSettled, isUsable, newSlot, noteDeath, type PathSlot, type ResolvedPath } from './path-slot.ts';
import { cameBack, StockWatch } from './path-stock.ts';
import { type LanePath, type LanePaths, NO_PATH, PATHS_MAX, type PathFigures, type PathMode } from './path-types.ts';

/** The messages of kinds 6 and 7 (docs/extension-protocol.md). */
export type PathProbe = Extract<ControlMessage, { kind: 'pathProbe' }>;
export type PathAnswerMessage = Extract<ControlMessage, { kind: 'pathAnswer' }>;

/** A message to send over a path. */
export interface PathMessage {
  readonly path: number;
  readonly message: ControlMessage;
}

/** What the manager is told each time that it looks. */
export interface PathFacts {
  readonly traffic: (path: number) => PathTraffic;
  readonly knows: LanePaths['knows'];
  /** How much flows: `busy`: now; `quiet`: lately; `idle`: nothing. */
  readonly flow: 'busy' | 'quiet' | 'idle';
  /** As lanes have it, ms; 0 for nothing unanswered. */
  readonly unansweredSinceMs: number;
  /** Between two probes that keep an idle path open, ms; Infinity for none. */
  readonly keepaliveMs: number;
}

/** What configuration asks of the paths. */
export interface PathManagerOptions {
  readonly mode: PathMode;
  /** Whether probes are only answered: nothing here needs to know more of the paths than the peer does. */
  readonly isPassive: boolean;
  /** Whether paths that the peer brought are only used when no other lives. */
  readonly learntAreBackups: boolean;
  /** Sendings of each datagram over and above the first, which take other paths while there are any. */
  readonly copies: number;
  /** Random, 32 bits. */
  readonly random: () => number;
}

/** Between two probes, ms: of a path in use while something flows, of the only one, and of those that wait. */
const USED_MS = 100;
const ONLY_MS = 200;
const WAITING_MS = 1_000;
/** A passive end probes what the peer brings so often, ms, and gives it up after so many. */
const PROOF_MS = 300;
const PROOFS_MAX = 5;
const PROOFS_AGAIN_MS = 10_000;
/** What the peer brought and does not use is forgotten when its place is wanted, from this silence on, ms. */
const FORGET_MS = 30_000;
/** A path whose probes of the peer stay out for so many of their intervals, and ms, is one that it sends over no more. */
const CARRIES_INTERVALS = 2;
const CARRIES_MS = 50;
/** A stock peer is looked at so often, ms. */
const LOOK_MS = 100;

export class PathManager {
  #options: PathManagerOptions;
  #slots: PathSlot[] = [];
  #first = NO_PATH;
  #facts: PathFacts | null = null;
  readonly #stock: StockWatch = new StockWatch();
  #lookedMs = Number.NEGATIVE_INFINITY;
  #proofs: Map<number, number> = new Map();
  #begun: number[] = [];

  constructor(options: PathManagerOptions) {
    this.#options = options;
  }

  get mode(): PathMode {
    return this.#options.mode;
  }

  /** Something else is asked of the paths. */
  configure(options: PathManagerOptions): void {
    this.#options = options;
  }

  /** Path of first sendings, NO_PATH for none. */
  get first(): number {
    return this.#first;
  }

  /** The path in a slot, 0 to PATHS_MAX - 1; undefined where there is none. */
  slot(path: number): PathSlot | undefined {
    return this.#slots.find((slot) => slot.path === path);
  }

  /** Takes over the configured paths, as they are at the moment: what has become another path starts anew. */
  resolve(paths: readonly ResolvedPath[], nowMs: number): void {
    const hasWeights = paths.some(({ weight }) => weight > 1);
    const configured = paths.slice(0, PATHS_MAX).map((resolved, path) => {
      const known = this.slot(path);
      if (known === undefined || known.isLearnt || known.name !== resolved.name) {
        this.#begun.push(path);
        return newSlot(path, resolved, false, hasWeights);
      }
      if (!isSamePath(known, resolved)) known.health.reset('unknown');
      else if (known.isPresent && !resolved.isPresent) this.#lose(known, nowMs);
      else if (!known.isPresent && resolved.isPresent) {
        known.health.reset('unknown');
        cameBack(known, nowMs);
      }
      return Object.assign(known, resolved);
    });
    const learnt = this.#slots.filter(({ isLearnt, path }) => isLearnt && path >= configured.length);
    this.#slots = [...configured, ...learnt];
    if (this.slot(this.#first) === undefined) this.#first = NO_PATH;
  }

  /** The path that leads there: remote address and port, and the local address if the path has one; NO_PATH for none. */
  pathOf(source: Endpoint): number {
    return this.#slots.find(({ endpoint }) => endpoint !== null && isFrom(endpoint, source))?.path ?? NO_PATH;
  }

  /** The path that leads there, a new one if there is none; NO_PATH when there is no room. */
  learn(source: Endpoint, nowMs: number): number {
    const known = this.pathOf(source);
    if (known !== NO_PATH) return known;
    const path = this.#freePath(nowMs);
    if (path === NO_PATH) return NO_PATH;
    const resolved = { name: `learnt${path}`, endpoint: source, isBound: false, isPresent: true };
    const { learntAreBackups: isBackup } = this.#options;
    const slot = newSlot(path, { ...resolved, isBackup, weight: 1 }, true, false);
    // A stock peer answers no probes: that a message of its came from there is all that is ever known.
    slot.isProven = this.#facts?.knows.paths !== true;
    slot.heardMs = nowMs;
    this.#slots = [...this.#slots.filter((other) => other.path !== path), slot];
    this.#proofs.delete(path);
    this.#begun.push(path);
    return path;
  }

  /** Slots that have had another path since this was asked last. */
  takeBegun(): readonly number[] {
    const begun = this.#begun;
    this.#begun = [];
    return begun;
  }

  /** The peer's own word, or data, came from there: in mode `follow` it is answered there. */
  follow(path: number, nowMs: number): void {
    const slot = this.slot(path);
    if (slot === undefined) return;
    slot.heardMs = nowMs;
    this.#first = path;
  }

  /** A probe of the peer that came over a path of ours; the answer. `heldMs`: since it came. */
  takeProbe(path: number, probe: PathProbe, traffic: PathTraffic, heldMs: number, nowMs: number): PathMessage | null {
    const slot = this.slot(path);
    if (slot === undefined) return null;
    slot.peerEveryMs = Math.min(nowMs - slot.probedByPeerMs, WAITING_MS);
    slot.probedByPeerMs = nowMs;
    slot.peerCarries = probe.carriesData;
    slot.heardMs = nowMs;
    if (!slot.isProven && slot.health.isDue(nowMs, PROOFS_AGAIN_MS)) this.#proofs.delete(path);
    if (this.mode === 'follow') this.#followWord(slot, nowMs);
    const message: PathAnswerMessage = {
      kind: 'pathAnswer',
      ...{ path: probe.path, sequence: probe.sequence, sentUs: probe.sentUs },
      heldUs: Math.max(0, Math.round(heldMs * 1_000)),
      ...{ datagrams: traffic.receivedDatagrams, bytes: traffic.receivedBytes },
      arrivedUs: Math.round((nowMs - heldMs) * 1_000) % 2 ** 32,
    };
    return { path, message };
  }

  /** An answer that came over a path of ours; true if it was asked for. */
  takeAnswer(path: number, answer: PathAnswerMessage, traffic: PathTraffic, atMs: number): boolean {
    const slot = this.slot(path);
    if (slot === undefined || answer.path !== path) return false;
    const delivery = slot.health.answered(answer, traffic, atMs);
    if (delivery === null) return false;
    slot.heardMs = Math.max(slot.heardMs, atMs);
    this.#prove(slot, atMs);
    slot.rate.take(delivery, atMs);
    return true;
  }

  /** A handshake message of the peer came over a path. */
  takeHandshake(path: number, nowMs: number): void {
    const slot = this.slot(path);
    if (slot === undefined) return;
    slot.heardMs = nowMs;
    if (this.#facts?.knows.paths !== true) this.#stock.heard(this.#slots, slot, this.#first, nowMs);
  }

  /** Looks at everything, and decides. Returns the probes that are due. */
  step(facts: PathFacts, nowMs: number): PathMessage[] {
    const wasStock = this.#facts !== null && !this.#facts.knows.paths;
    this.#facts = facts;
    if (facts.knows.paths) {
      if (wasStock) for (const slot of this.#slots) becomeProbed(slot);
      for (const slot of this.#slots) this.#stepHealth(slot, facts, nowMs);
    } else if (nowMs - this.#lookedMs >= LOOK_MS) {
      this.#lookedMs = nowMs;
      const { traffic, unansweredSinceMs, flow } = facts;
      const isRedundant = this.mode === 'redundant';
      const stockFacts = { traffic, unansweredSinceMs, isRedundant, flows: flow !== 'idle' };
      this.#stock.step(this.#slots, this.#first, stockFacts, nowMs);
    }
    this.#choose(nowMs);
    return facts.knows.paths ? this.#probe(facts, nowMs) : [];
  }

  /** When `step` is due, ms. */
  dueMs(nowMs: number): number {
    const facts = this.#facts;
    if (facts === null) return nowMs;
    if (!facts.knows.paths) return facts.flow === 'idle' ? Number.POSITIVE_INFINITY : this.#lookedMs + LOOK_MS;
    let dueMs = Number.POSITIVE_INFINITY;
    for (const slot of this.#slots)
      if (slot.endpoint !== null && slot.isPresent)
        dueMs = Math.min(dueMs, slot.health.dueMs(this.#paceMs(slot, facts)), this.#settleDueMs(slot, nowMs));
    return dueMs;
  }

  /** Whether a handshake is wanted, to find out about paths; asked once. */
  takeHandshakeWish(): boolean {
    return this.#stock.takeWish();
  }

  /** Paths that an initiation goes over. `copied`: over all that live. */
  handshakePaths(copied: boolean, nowMs: number): number[] {
    const retried = this.#stock.retried(nowMs);
    if (retried !== NO_PATH) return [retried];
    const usable = this.#slots.filter(isUsable);
    const first = usable.find(({ path }) => path === this.#first);
    const isSure = first?.health.state === 'alive' && !first.health.isSuspect && !this.#stock.isSearching;
    if (!isSure) return usable.map(({ path }) => path);
    const alive = usable.filter(({ health }) => health.state === 'alive').map(({ path }) => path);
    return copied || this.mode === 'redundant' ? alive : [first.path];
  }

  /** What lanes are told. `seenLoss`: share of the peer's datagrams that did not come, for a peer that does not say more. */
  lanePaths(seenLoss: number): LanePaths {
    const { mode } = this;
    const knows = this.#facts?.knows ?? { gaps: false, paths: false, parity: false };
    const told = this.#slots.filter(
      (slot) => mode !== 'follow' || slot.use === 'first' || slot.health.state !== 'dead',
    );
    const used = this.#slots.filter(({ use }) => use !== 'idle');
    const rtts = used.flatMap(({ health: { rttMs } }) => (rttMs === null ? [] : [rttMs]));
    const losses = used.flatMap(({ use, health: { loss } }) => (use === 'first' && loss !== null ? [loss] : []));
    return {
      mode: this.#laneMode(knows.paths),
      paths: told.flatMap(lanePathOf),
      rttMs: Math.max(0, ...rtts),
      knows,
      loss: losses.length > 0 ? losses.reduce((sum, loss) => sum + loss, 0) / losses.length : seenLoss,
    };
  }

  /** What is known of each path, for status; in the order of preference. */
  figures(): PathFigures[] {
    return this.#slots.map(({ path, name, use, endpoint, health, rate, heardMs }) => ({
      ...{ path, name, use, endpoint, state: health.state, rttMs: health.rttMs, loss: health.loss },
      rateBytesPerMs: rate.bytesPerMs > 0 ? rate.bytesPerMs : null,
      lastHeardMs: heardMs,
    }));
  }

  /** What a stock peer cannot do is done as it can: nothing tells how its paths are, or how much they carry. */
  #laneMode(knowsPaths: boolean): PathMode {
    const { mode } = this;
    return knowsPaths || mode === 'follow' || mode === 'redundant' ? mode : 'failover';
  }

  #prove(slot: PathSlot, nowMs: number): void {
    if (slot.isProven) return;
    slot.isProven = true;
    this.#proofs.delete(slot.path);
    if (this.mode === 'follow') this.#followWord(slot, nowMs);
  }

  /** The peer sends over this path: so does who follows it, unless it sends over the present one, too. */
  #followWord(slot: PathSlot, nowMs: number): void {
    const present = this.slot(this.#first);
    const isPresentUsed =
      present?.peerCarries === true &&
      present.health.state !== 'dead' &&
      nowMs - present.probedByPeerMs < CARRIES_INTERVALS * present.peerEveryMs + CARRIES_MS;
    if (slot.peerCarries && slot.isProven && !isPresentUsed) this.#first = slot.path;
  }

  #stepHealth(slot: PathSlot, facts: PathFacts, nowMs: number): void {
    const { lastReceivedMs } = facts.traffic(slot.path);
    slot.heardMs = Math.max(slot.heardMs, lastReceivedMs);
    const isOnly = !this.#slots.some((other) => other !== slot && isUsable(other) && other.health.state !== 'dead');
    if (slot.health.step(nowMs, lastReceivedMs, isOnly)) {
      noteDeath(slot, nowMs);
      slot.rate.reset();
    }
    // Nobody asks an idle path any more: a death that nothing hangs on would be told for as long as it is idle.
    const isAsked = this.#paceMs(slot, facts) < Number.POSITIVE_INFINITY;
    if (isOnly && !isAsked && isUsable(slot) && slot.health.state === 'dead') slot.health.reset('unknown');
  }

  #lose(slot: PathSlot, nowMs: number): void {
    if (slot.health.judge('dead', nowMs)) noteDeath(slot, nowMs);
  }

  #choose(nowMs: number): void {
    const { mode } = this;
    const before = this.#first;
    if (mode === 'follow') {
      if (this.slot(before) === undefined) this.#first = this.#slots.find(isUsable)?.path ?? NO_PATH;
      for (const slot of this.#slots) slot.use = slot.path === this.#first ? 'first' : 'idle';
      return;
    }
    const uses = this.#uses(nowMs);
    this.#first = this.#slots.find(({ path }) => uses.get(path) === 'first')?.path ?? NO_PATH;
    for (const slot of this.#slots) slot.use = uses.get(slot.path) ?? 'idle';
    // The peer is to hear at once where data comes from now.
    if (this.#first !== before) this.slot(this.#first)?.health.hurry();
  }

  #uses(nowMs: number): ReadonlyMap<number, LanePath['use']> {
    const mode = this.#laneMode(this.#facts?.knows.paths ?? false);
    if (this.#stock.solo !== NO_PATH) return new Map([[this.#stock.solo, 'first']]);
    if (this.#stock.isSearching && mode === 'failover' && this.#first !== NO_PATH) return this.#searchUses();
    const candidates = this.#slots.map((slot) => candidateOf(slot, nowMs));
    return choosePaths(mode, candidates, this.#first, this.#options.copies);
  }

  #searchUses(): ReadonlyMap<number, LanePath['use']> {
    const usable = this.#slots.filter(isUsable);
    return new Map(usable.map(({ path }) => [path, path === this.#first ? 'first' : 'copy']));
  }

  #probe(facts: PathFacts, nowMs: number): PathMessage[] {
    const due = this.#slots.filter(
      (slot) => slot.endpoint !== null && slot.isPresent && slot.health.isDue(nowMs, this.#paceMs(slot, facts)),
    );
    return due.map((slot) => {
      const sequence = this.#options.random();
      slot.health.probed(sequence, facts.traffic(slot.path), nowMs);
      if (!slot.isProven) this.#proofs.set(slot.path, (this.#proofs.get(slot.path) ?? 0) + 1);
      const carriesData = this.#carries(slot) && facts.flow !== 'idle';
      const sentUs = Math.round(nowMs * 1_000);
      return { path: slot.path, message: { kind: 'pathProbe', path: slot.path, carriesData, sequence, sentUs } };
    });
  }

  /** Copies of a few datagrams, or now and then, do not say where the peer is best answered; `redundant` copies all. */
  #carries({ use }: PathSlot): boolean {
    return use === 'first' || (use === 'copy' && this.mode === 'redundant');
  }

  #paceMs(slot: PathSlot, { flow, keepaliveMs }: PathFacts): number {
    if (!slot.isProven) return (this.#proofs.get(slot.path) ?? 0) < PROOFS_MAX ? PROOF_MS : Number.POSITIVE_INFINITY;
    if (this.#options.isPassive) return Number.POSITIVE_INFINITY;
    if (flow === 'idle') return keepaliveMs;
    if (flow === 'quiet' || slot.use === 'idle') return WAITING_MS;
    return this.#slots.length > 1 ? USED_MS : ONLY_MS;
  }

  /** When a path that came back may take over again. */
  #settleDueMs({ health, settleMs }: PathSlot, nowMs: number): number {
    const dueMs = health.aliveSinceMs + settleMs;
    return health.state === 'alive' && dueMs > nowMs ? dueMs : Number.POSITIVE_INFINITY;
  }

  #freePath(nowMs: number): number {
    for (let path = 0; path < PATHS_MAX; path += 1) if (this.slot(path) === undefined) return path;
    const old = this.#slots
      .filter(({ isLearnt, path, heardMs }) => isLearnt && path !== this.#first && nowMs - heardMs > FORGET_MS)
      .reduce<PathSlot | null>((least, slot) => (least === null || slot.heardMs < least.heardMs ? slot : least), null);
    return old?.path ?? NO_PATH;
  }
}

function candidateOf(slot: PathSlot, nowMs: number): Candidate {
  const { path, isBackup, health } = slot;
  const { state, rttMs } = health;
  return { path, state, isUsable: isUsable(slot), isBackup, rttMs, isSettled: isSettled(slot, nowMs) };
}

/** The peer turns out to answer probes. What lives is held to live until one tells otherwise. */
function becomeProbed(slot: PathSlot): void {
  slot.retryMs = 0;
  if (slot.isLearnt) slot.isProven = false;
  if (slot.health.state === 'dead') slot.health.reset('unknown');
}

function lanePathOf({ path, endpoint, isBound, isPresent, use, rate, health }: PathSlot): LanePath[] {
  if (endpoint === null || !isPresent) return [];
  const delayMs = (health.leastRttMs ?? 0) / 2;
  const { queueMs, atMs: queueAtMs } = health.queue;
  return [{ path, endpoint, isBound, use, rateBytesPerMs: rate.bytesPerMs, delayMs, queueMs, queueAtMs }];
}

function isSamePath(left: ResolvedPath, right: ResolvedPath): boolean {
  if (left.endpoint === null || right.endpoint === null) return left.endpoint === right.endpoint;
  return (
    isSameRemote(left.endpoint, right.endpoint) &&
    left.isBound === right.isBound &&
    isFrom(left.endpoint, right.endpoint)
  );
}

/** Whether what came from `source` came over the path that leads to `endpoint`. */
function isFrom(endpoint: Endpoint, source: Endpoint): boolean {
  const { localAddress } = endpoint;
  if (!isSameRemote(endpoint, source)) return false;
  return (
    localAddress === null || (source.localAddress !== null && Buffer.compare(localAddress, source.localAddress) === 0)
  );
}
