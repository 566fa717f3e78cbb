/**
 * A scene: two namespaces, joined by as many links as a scenario has, each behind an emulator of its own that runs beside end
 * `a`; and a tunnel over them, by gigatun or another program at either end.
 *
 *     a: TUN --- 127.0.0.1:6001 emulator [10.99.0.1] == veth0 == [10.99.0.2:51820] --- TUN :b
 *            '-- 127.0.0.1:6002 emulator [10.99.1.1] == veth1 == [10.99.1.2:51820] --'
 *
 * End b is told no endpoint: it learns where a is, as a server does.
 */
import { CLI, type GigatunEnd, openGigatun } from '../gigatun-end.ts';
import { Lab, type LinkEnd } from '../namespaces.ts';
import { type Pair, planPair, type TunnelEnd } from '../pair.ts';
import type { Running } from '../process.ts';
import { openWireguardGo } from '../wireguard-go-end.ts';

const READY_MS = 10_000;
/** Emulators listen from here on, one port each. */
export const EMULATOR_PORT = 6_001;
const TARGET_PORT = 51_820;

/** Who runs an end, and with which `#gigatun:` settings of its peer; on how many lanes, 1 if it is not said. */
export type EndKind =
  | { readonly program: 'wireguard-go' }
  | { readonly program: 'gigatun'; readonly settings: readonly string[]; readonly lanes?: number };

export interface ScenePlan {
  /** For each link, options of `gigatun lab` beside --listen and --to; none: the two ends are joined without an emulator. */
  readonly links: readonly (readonly string[])[];
  readonly a: EndKind;
  readonly b: EndKind;
  readonly innerMtu?: number;
  readonly linkMtu?: number;
}

export class Scene {
  readonly pair: Pair;
  readonly a: TunnelEnd;
  readonly b: TunnelEnd;
  readonly #lab: Lab;
  readonly #emulators: readonly Running[];

  private constructor(lab: Lab, pair: Pair, emulators: readonly Running[], ends: readonly [TunnelEnd, TunnelEnd]) {
    this.#lab = lab;
    this.pair = pair;
    this.#emulators = emulators;
    [this.a, this.b] = ends;
  }

  /** Throws with the log of what did not start, and leaves nothing behind. */
  static async open(plan: ScenePlan): Promise<Scene> {
    const lab = new Lab();
    const started: { stop(): Promise<unknown> }[] = [];
    try {
      const { pair, targets } = layOut(lab, plan);
      const emulators = await Promise.all(
        targets.map((target, at) => startEmulator(pair, target, at, plan.links[at] ?? [])),
      );
      started.push(...emulators);
      const b = await openEnd(lab, pair.b, plan.b);
      started.push({ stop: () => b.close() });
      const a = await openEnd(lab, pair.a, plan.a);
      return new Scene(lab, pair, emulators, [a, b]);
    } catch (error) {
      for (const part of started) await part.stop();
      lab.close();
      throw error;
    }
  }

  /** Cuts a link, or mends it, both ways. */
  cut(link: number, isCut: boolean): void {
    this.#emulators[link]?.signal(isCut ? 'SIGUSR1' : 'SIGUSR2');
  }

  async close(): Promise<void> {
    await Promise.all([this.a.close(), this.b.close()]);
    await Promise.all(this.#emulators.map((emulator) => emulator.stop()));
    this.#lab.close();
  }
}

export function isGigatun(end: TunnelEnd): end is GigatunEnd {
  return 'statsText' in end;
}

function layOut(lab: Lab, { links, innerMtu, linkMtu }: ScenePlan): { pair: Pair; targets: string[] } {
  const mtu = linkMtu === undefined ? {} : { mtu: linkMtu };
  const options = { ...mtu, ...(innerMtu === undefined ? {} : { innerMtu }) };
  const plain = planPair(lab, { ...options, device: 'veth0' });
  const further = links
    .slice(1)
    .map((_, at) =>
      lab.connect(plain.a.namespace, plain.b.namespace, { ...mtu, subnet: at + 1, device: `veth${at + 1}` }),
    );
  const ends: LinkEnd[] = [plain.link[1], ...further.map(([, end]) => end)];
  if (links.length === 0) return { pair: plain, targets: [] };
  const a = { ...plain.a, peer: { ...plain.a.peer, endpoint: `127.0.0.1:${EMULATOR_PORT}` } };
  const b = { ...plain.b, peer: { ...plain.b.peer, endpoint: '' } };
  return { pair: { ...plain, a, b }, targets: ends.map(({ address4 }) => `${address4}:${TARGET_PORT}`) };
}

async function startEmulator(pair: Pair, target: string, at: number, options: readonly string[]): Promise<Running> {
  const args = ['--listen', String(EMULATOR_PORT + at), '--to', target, '--seed', String(at + 1), ...options];
  const emulator = pair.a.namespace.start([process.execPath, CLI, 'lab', ...args], {
    timeoutMs: Number.POSITIVE_INFINITY,
  });
  await emulator.waitForOutput(/ready/, READY_MS);
  return emulator;
}

async function openEnd(lab: Lab, plan: Pair['a'], kind: EndKind): Promise<TunnelEnd> {
  return kind.program === 'gigatun'
    ? await openGigatun(lab, plan, { peerSettings: kind.settings, lanes: kind.lanes ?? 1 })
    : await openWireguardGo(lab, plan);
}
