/**
 * Two path managers and the links between them, in fake time: each link has a delay, loses some datagrams, may be cut, and may
 * have a rate with a queue. Data goes as a lane sends it, by what its manager says. One end has the paths, the other follows,
 * or has paths of its own.
 */
import { PathChoice } from '../../../src/history/path-choice.ts';
import type { Endpoint } from '../../../src/packet/endpoint.ts';
import { NO_TRAFFIC, type PathTraffic } from '../../../src/path/path-health.ts';
import { PathManager, type PathManagerOptions, type PathMessage } from '../../../src/path/path-manager.ts';
import type { ResolvedPath } from '../../../src/path/path-slot.ts';
import { NO_PATH } from '../../../src/path/path-types.ts';
import type { ControlMessage } from '../../../src/protocol/control-message.ts';
import { Random } from '../../fuzz/random.ts';
import { EventQueue } from '../../simulation/event-queue.ts';

export interface Link {
  delayMs: number;
  /** Share of datagrams that get lost, each way. */
  loss: number;
  isCut: boolean;
  /** Infinity for no limit. */
  bytesPerMs: number;
  queueBytesMax: number;
}

export const GOOD: Link = {
  delayMs: 10,
  loss: 0,
  isCut: false,
  bytesPerMs: Number.POSITIVE_INFINITY,
  queueBytesMax: 100_000,
};

const PROBE_BYTES = 80;
const HANDSHAKE_BYTES = 148;
const HANDSHAKE_AGAIN_MS = 5_000;
const KNOWS = { gaps: false, paths: true, parity: false };

/** Address of an end's side of a link. */
function address(end: number, link: number): Endpoint {
  const bytes = Uint8Array.of(10, 0, link, end + 1);
  return { family: 4, address: bytes, port: 1_000, scope: 0, localAddress: null, localInterface: 0 };
}

function endpointOf(end: number, link: number): Endpoint {
  return { ...address(1 - end, link), localAddress: address(end, link).address, localInterface: 0 };
}

export class End {
  readonly number: number;
  readonly manager: PathManager;
  readonly choice: PathChoice = new PathChoice();
  readonly traffic: PathTraffic[] = [];
  readonly #world: TwoEnds;
  flow: 'busy' | 'quiet' | 'idle' = 'busy';
  unansweredSinceMs = 0;
  isStock = false;
  /** What is said of answers before they are sent: by an end that lies. */
  lie: (message: ControlMessage) => ControlMessage = (message) => message;
  /** Data received, by what carried it first. */
  delivered = 0;
  wishes = 0;
  /** Whether data is answered, over the path that it came by. */
  answers = false;
  /** Whether the peer answers handshakes. */
  shakesHands = false;
  #isShaking = false;
  #first = NO_PATH;

  constructor(number: number, world: TwoEnds, options: Partial<PathManagerOptions>) {
    this.number = number;
    this.#world = world;
    const { random } = world;
    this.manager = new PathManager({
      ...{ mode: 'follow', isPassive: false, learntAreBackups: true, copies: 0, random: () => random.word() },
      ...options,
    });
  }

  /** Gives it the links as configured paths. */
  configure(links: readonly number[], over: readonly Partial<ResolvedPath>[] = []): void {
    const paths = links.map((link, at) => ({
      ...{ name: `p${link}`, endpoint: endpointOf(this.number, link), isBound: false, isPresent: true },
      ...{ isBackup: false, weight: 1, ...over[at] },
    }));
    this.manager.resolve(paths, this.#world.nowMs);
  }

  trafficOf(path: number): PathTraffic {
    return this.traffic[path] ?? NO_TRAFFIC;
  }

  book(path: number, more: Partial<PathTraffic>): void {
    const sum = { ...this.trafficOf(path) };
    for (const [key, value] of Object.entries(more)) {
      const field = key as keyof PathTraffic;
      sum[field] = field === 'lastReceivedMs' ? value : sum[field] + value;
    }
    this.traffic[path] = sum;
  }

  step(): void {
    const { nowMs } = this.#world;
    const knows = this.#world.ends[1 - this.number]?.isStock === true ? { ...KNOWS, paths: false } : KNOWS;
    const facts = {
      ...{ traffic: (path: number) => this.trafficOf(path), knows, flow: this.flow },
      ...{ unansweredSinceMs: this.unansweredSinceMs, keepaliveMs: Number.POSITIVE_INFINITY },
    };
    for (const probe of this.manager.step(facts, nowMs)) this.say(probe);
    if (this.manager.takeHandshakeWish()) {
      this.wishes += 1;
      this.#beginHandshake();
    }
    const paths = this.manager.lanePaths(0);
    const isMoved = paths.mode === 'follow' && this.#first !== this.manager.first;
    if (isMoved) this.choice.setPaths({ ...paths, paths: paths.paths.filter(({ use }) => use === 'first') }, nowMs);
    this.choice.setPaths(paths, nowMs);
    this.#first = this.manager.first;
  }

  /** As the machine does it: again each five seconds until there is a response; the peer answers the first that comes. */
  #beginHandshake(): void {
    if (!this.shakesHands || this.#isShaking) return;
    this.#isShaking = true;
    this.#initiate();
  }

  #initiate(): void {
    if (!this.#isShaking) return;
    const world = this.#world;
    let isAnswered = false;
    for (const path of this.manager.handshakePaths(false, world.nowMs)) {
      const link = this.linkOf(path);
      world.carry(this.number, link, HANDSHAKE_BYTES, () => {
        if (isAnswered) return;
        isAnswered = true;
        world.carry(1 - this.number, link, HANDSHAKE_BYTES, () => this.#complete(link));
      });
    }
    world.queue.plan(world.queue.nowMs + HANDSHAKE_AGAIN_MS, () => this.#initiate());
  }

  #complete(link: number): void {
    this.#isShaking = false;
    this.unansweredSinceMs = 0;
    const path = this.manager.pathOf(endpointOf(this.number, link));
    if (path !== NO_PATH) this.manager.takeHandshake(path, this.#world.nowMs);
  }

  say({ path, message }: PathMessage): void {
    this.book(path, { sentDatagrams: 1, sentBytes: PROBE_BYTES });
    const link = this.linkOf(path);
    const told = this.lie(message);
    this.#world.carry(this.number, link, PROBE_BYTES, () => this.#world.ends[1 - this.number]?.hear(link, told));
  }

  /** Sends data as a lane does: one first sending, and copies. */
  send(bytes: number): void {
    const { nowMs } = this.#world;
    const first = this.choice.take(bytes, nowMs);
    if (first === NO_PATH) return;
    if (this.unansweredSinceMs === 0) this.unansweredSinceMs = nowMs;
    let isNew = true;
    for (const path of [first, ...this.choice.copies.subarray(0, this.choice.copiesCount)]) {
      const link = this.linkOf(path);
      this.book(path, { sentDatagrams: 1, sentBytes: bytes });
      this.#world.carry(this.number, link, bytes, () => {
        this.#world.ends[1 - this.number]?.receive(link, bytes, isNew);
        isNew = false;
      });
    }
  }

  receive(link: number, bytes: number, isNew: boolean): void {
    const { nowMs } = this.#world;
    const path = this.manager.pathOf(endpointOf(this.number, link));
    this.unansweredSinceMs = 0;
    if (path !== NO_PATH) this.book(path, { receivedDatagrams: 1, receivedBytes: bytes, lastReceivedMs: nowMs });
    if (isNew) this.delivered += 1;
    if (!this.answers || !isNew) return;
    this.#world.carry(this.number, link, 100, () => this.#world.ends[1 - this.number]?.receive(link, 100, true));
  }

  hear(link: number, message: ControlMessage): void {
    const { nowMs } = this.#world;
    const source = endpointOf(this.number, link);
    this.unansweredSinceMs = 0;
    if (message.kind === 'pathProbe') {
      if (this.isStock) return;
      const path = this.manager.learn(source, nowMs);
      this.book(path, { receivedDatagrams: 1, receivedBytes: PROBE_BYTES, lastReceivedMs: nowMs });
      const answer = this.manager.takeProbe(path, message, this.trafficOf(path), 0.2, nowMs);
      if (answer !== null) this.say(answer);
    } else if (message.kind === 'pathAnswer') {
      const path = this.manager.pathOf(source);
      this.book(path, { receivedDatagrams: 1, receivedBytes: PROBE_BYTES, lastReceivedMs: nowMs });
      this.manager.takeAnswer(path, message, this.trafficOf(path), nowMs);
    }
    this.step();
  }

  /** The link that a path takes. */
  linkOf(path: number): number {
    return this.manager.slot(path)?.endpoint?.address[2] ?? 0;
  }
}

export class TwoEnds {
  readonly random: Random;
  readonly queue: EventQueue = new EventQueue();
  readonly links: Link[];
  readonly ends: End[] = [];
  /** Of each link, each way: until when it is busy sending what was handed to it. */
  readonly #busyMs: number[] = [];

  constructor(links: readonly Partial<Link>[], modes: readonly Partial<PathManagerOptions>[], seed = 1) {
    this.random = new Random(seed);
    this.links = links.map((link) => ({ ...GOOD, ...link }));
    this.ends = modes.map((options, number) => new End(number, this, options));
    for (const end of this.ends) this.#tick(end);
  }

  get nowMs(): number {
    // Not 0, which means never.
    return this.queue.nowMs + 1_000_000;
  }

  run(forMs: number): void {
    this.queue.runUntil(this.queue.nowMs + forMs);
  }

  /** Runs, and calls `each` every so many ms. */
  runWith(forMs: number, everyMs: number, each: () => void): void {
    const endMs = this.queue.nowMs + forMs;
    const again = (): void => {
      each();
      if (this.queue.nowMs + everyMs < endMs) this.queue.plan(this.queue.nowMs + everyMs, again);
    };
    this.queue.plan(this.queue.nowMs, again);
    this.queue.runUntil(endMs);
  }

  carry(from: number, link: number, bytes: number, arrive: () => void): void {
    const { delayMs, loss, isCut, bytesPerMs, queueBytesMax } = this.links[link] ?? GOOD;
    const { nowMs } = this.queue;
    const way = 2 * link + from;
    const waitMs = Math.max(0, (this.#busyMs[way] ?? 0) - nowMs);
    if (isCut || this.random.below(1_000_000) < loss * 1_000_000 || waitMs * bytesPerMs > queueBytesMax) return;
    const sendMs = bytesPerMs === Number.POSITIVE_INFINITY ? 0 : bytes / bytesPerMs;
    this.#busyMs[way] = nowMs + waitMs + sendMs;
    this.queue.plan(nowMs + waitMs + sendMs + delayMs, () => {
      if (this.links[link]?.isCut !== true) arrive();
    });
  }

  /** As the driver does: when something is due, and at least every 250 ms. */
  #tick(end: End): void {
    end.step();
    const dueMs = Math.min(end.manager.dueMs(this.nowMs), this.nowMs + 250);
    this.queue.plan(Math.max(this.queue.nowMs + 10, dueMs - 1_000_000), () => this.#tick(end));
  }
}
