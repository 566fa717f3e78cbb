/**
 * A reload: from the file as it is now to a running tunnel, without a drop. First everything is read, looked up, compared
 * and checked, and nothing touched; then the link is changed, move by move, and last the device, which takes its change
 * whole or not at all. So whatever fails, the moves of the link are taken back, and sessions never notice.
 *
 * What cannot change while the tunnel runs is named, and the rest is done. Hooks are not run; those of the way down are
 * from then on the new ones.
 */
import { GigatunError } from '../errors.ts';
import { checkMemory } from '../memory/budget.ts';
import { OFFLOAD_NAMES, type OffloadName } from '../offloads/offload-name.ts';
import { type Applied, packPeers, unpackPeers } from './applied.ts';
import type { RunCommand } from './command.ts';
import type { Hooks, LaneChoice, TunnelConfig } from './config-types.ts';
import type { DeviceChange, DeviceSettings } from './device-change.ts';
import { type DifferenceLine, deviceDifference, type LookedUp, matchPeers, type PeerMatch } from './difference.ts';
import type { Link } from './link-apply.ts';
import { type LinkMove, linkMoves, type PlannedLink } from './link-difference.ts';
import { deriveMtu, gatherFacts } from './link-facts.ts';
import { type LinkFacts, type LinkRequest, planLinkParts } from './link-plan.ts';
import { hookLines, hookWarnings, linkLines, queueLines, queueMoves } from './link-words.ts';
import { type ResolvedPeer, type ResolveTools, resolveHistory, resolvePeers } from './resolve.ts';
import { asGigatunError, messageOf } from './system-error.ts';
import {
  checkMtu,
  chooseLanes,
  chooseMark,
  effectivePeers,
  endpointsOf,
  hasDefaultRoute,
  memoryUse,
  mtuReserve,
} from './tunnel-settings.ts';

/** The part of a device that a reload drives. */
export interface ReloadDevice {
  /** Checked whole first; throws GigatunError, and then nothing has changed. */
  configure(change: DeviceChange): void;
  /** Keys are copies. */
  settings(): DeviceSettings;
}

/** A tunnel that runs, as a reload finds it. */
export interface RunningTunnel {
  readonly name: string;
  readonly device: ReloadDevice;
  readonly link: Link;
  readonly applied: Applied;
  readonly hooks: Hooks;
  readonly lanes: number;
  readonly memoryCapBytes: number | null;
  readonly offloads: readonly OffloadName[];
  /** What the command line said, which goes before the file; null for nothing. */
  readonly asked: {
    readonly lanes: LaneChoice | null;
    readonly memoryCapBytes: number | null;
    readonly mtu: number | null;
  };
}

export interface ReloadTools {
  readonly run: RunCommand;
  readonly resolve: ResolveTools;
}

export interface ReloadPlan {
  readonly lines: readonly DifferenceLine[];
  readonly warnings: readonly string[];
  /** What differs and stays as it is, each in words. */
  readonly needsRestart: readonly string[];
  readonly change: DeviceChange;
  readonly moves: readonly LinkMove[];
  /** What holds when all is done. */
  readonly applied: Applied;
  readonly hooks: Hooks;
  readonly matches: readonly PeerMatch[];
  /** Peers whose endpoint was looked up, by public key in base64. */
  readonly resolved: ReadonlyMap<string, ResolvedPeer>;
}

/** The device's side of a plan. */
interface DevicePlan {
  readonly matches: readonly PeerMatch[];
  readonly lookedUp: ReadonlyMap<string, LookedUp>;
  readonly fwmark: number;
}

/**
 * Compares a file with a running tunnel; changes nothing.
 *
 * @throws GigatunError CONFIG where the file cannot be applied, or what a look-up failed with.
 */
export async function planReload(
  running: RunningTunnel,
  config: TunnelConfig,
  tools: ReloadTools,
): Promise<ReloadPlan> {
  checkMemory(running.memoryCapBytes, memoryUse(running.lanes, config.peers));
  const settings = running.device.settings();
  try {
    return await planWith(running, settings, config, tools);
  } finally {
    settings.privateKey?.fill(0);
    for (const { presharedKey } of settings.peers) presharedKey?.fill(0);
  }
}

async function planWith(
  running: RunningTunnel,
  settings: DeviceSettings,
  config: TunnelConfig,
  tools: ReloadTools,
): Promise<ReloadPlan> {
  const { applied, hooks } = running;
  const peers = effectivePeers(config);
  const before = unpackPeers(applied.peers);
  const matches = matchPeers(settings, before, peers);
  const resolved = await resolveMoves(matches, tools.resolve);
  const lookedUp = await lookUpAll(matches, resolved, tools.resolve);
  const fwmark = await chooseMark(config, applied, tools.run);
  const old = plannedLink({ ...applied.link, prefixes: prefixesOf([...before.values()]) }, applied.facts);
  const mtu = await chooseMtu(running, config, { matches, lookedUp, fwmark }, tools.run);
  const request = { name: running.name, mtu, interface: config.interface, prefixes: prefixesOf(peers) };
  const wanted = await planNewLink(request, old, hasDefaultRoute(config) ? fwmark : 0, tools.run);
  const { privateKey, listenPort, interface: link } = config;
  const device = deviceDifference(settings, { privateKey, listenPort, fwmark }, matches, lookedUp);
  const { txQueueLength } = config.settings;
  const linkWords = [...linkLines(old, wanted), ...queueLines(applied.txQueueLength, txQueueLength)];
  return {
    lines: [...linkWords, ...hookLines(hooks, link.hooks), ...device.lines],
    warnings: [...wanted.warnings, ...hookWarnings(hooks, link.hooks)],
    needsRestart: fixedDifferences(running, config),
    change: device.change,
    moves: [...queueMoves(running.name, applied.txQueueLength, txQueueLength), ...linkMoves(old, wanted)],
    applied: appliedOf(config, { fwmark, mtu, name: running.name }, wanted.facts),
    ...{ hooks: link.hooks, matches, resolved },
  };
}

/** What is kept of a file when all of it holds. */
export function appliedOf(
  config: TunnelConfig,
  { name, mtu, fwmark }: { readonly name: string; readonly mtu: number; readonly fwmark: number },
  facts: LinkFacts,
): Applied {
  const { fwmark: fileFwmark, interface: link, settings } = config;
  const peers = packPeers(effectivePeers(config));
  return {
    ...{ fileFwmark, fwmark, txQueueLength: settings.txQueueLength, facts, peers },
    link: { name, mtu, interface: link },
  };
}

async function resolveMoves(matches: readonly PeerMatch[], tools: ResolveTools): Promise<Map<string, ResolvedPeer>> {
  const moving = matches.filter(({ moves }) => moves);
  const resolved = await resolvePeers(
    moving.flatMap(({ wanted }) => (wanted === null ? [] : { ...wanted, history: null })),
    tools,
  );
  return new Map(resolved.flatMap((peer, at) => [[moving[at]?.key ?? '', peer]]));
}

/** What has become of the names of all peers that have any that are new. */
async function lookUpAll(
  matches: readonly PeerMatch[],
  resolved: ReadonlyMap<string, ResolvedPeer>,
  tools: ResolveTools,
): Promise<Map<string, LookedUp>> {
  const concerned = matches.filter(({ moves, isHistoryNew }) => moves || isHistoryNew);
  const entries = concerned.map(async ({ key, wanted }): Promise<[string, LookedUp]> => {
    const named = wanted?.history ?? null;
    const history = named === null ? null : await resolveHistory(named, tools);
    return [key, { endpoint: resolved.get(key)?.endpoint ?? null, history }];
  });
  return new Map(await Promise.all(entries));
}

/** A derived MTU is derived anew only where that may come out otherwise: a route that is gone for a moment is no reason. */
async function chooseMtu(
  { applied, asked }: RunningTunnel,
  config: TunnelConfig,
  { matches, lookedUp, fwmark }: DevicePlan,
  run: RunCommand,
): Promise<number> {
  const given = asked.mtu ?? config.interface.mtu;
  const isStill =
    applied.link.interface.mtu === null &&
    matches.every(({ moves, isHistoryNew, wanted, present }) => {
      return !moves && !isHistoryNew && (wanted === null) === (present === null);
    });
  const derived = async (): Promise<number> => {
    const endpoints = matches.flatMap(({ key, wanted, present }) => {
      const { endpoint = null, history = null } = lookedUp.get(key) ?? {};
      return wanted === null ? [] : endpointsOf({ endpoint: endpoint ?? present?.endpoint ?? null, history });
    });
    return await deriveMtu(run, { endpoints, mark: fwmark, reserve: mtuReserve(config.peers) });
  };
  const mtu = given ?? (isStill ? applied.link.mtu : await derived());
  checkMtu(mtu, config);
  return mtu;
}

async function planNewLink(
  request: LinkRequest,
  old: PlannedLink,
  mark: number,
  run: RunCommand,
): Promise<PlannedLink & { readonly warnings: readonly string[] }> {
  const gathered = await gatherFacts(run, mark);
  // A rule that is ours does not count as somebody else's.
  const suppressing = gathered.suppressing.filter(
    (family) => !old.parts.some(({ key }) => key.startsWith(`rule -${family} before`)),
  );
  return plannedLink(request, { ...gathered, suppressing });
}

function plannedLink(request: LinkRequest, facts: LinkFacts): PlannedLink & { readonly warnings: readonly string[] } {
  return { request, facts, ...planLinkParts(request, facts) };
}

function prefixesOf(peers: readonly Pick<PeerMatch['applied'], 'allowedIps'>[]): LinkRequest['prefixes'] {
  return peers.flatMap(({ allowedIps }) => allowedIps);
}

/** What is fixed when the tunnel starts. */
function fixedDifferences({ lanes, memoryCapBytes, offloads, asked }: RunningTunnel, config: TunnelConfig): string[] {
  const { settings } = config;
  const megabytes = (bytes: number | null): string => (bytes === null ? 'none' : `${bytes / 1e6}`);
  const names = (list: readonly OffloadName[]): string => [...list].sort().join(', ') || 'none';
  const pairs = [
    ['Lanes', `${lanes}`, `${chooseLanes(asked.lanes ?? settings.lanes, config.peers)}`],
    ['Memory', megabytes(memoryCapBytes), megabytes(asked.memoryCapBytes ?? settings.memoryCapBytes)],
    ['Offloads', names(offloads), names(settings.offloads ?? OFFLOAD_NAMES)],
  ] as const;
  return pairs.flatMap(([key, from, to]) => (from === to ? [] : [`${key} ${from} -> ${to}`]));
}

/**
 * Carries a plan out, all of it or nothing.
 *
 * @throws GigatunError of what failed; by then the rest is taken back, or the error says what is not.
 */
export async function carryOutReload(
  { link, device, name }: RunningTunnel,
  { moves, change }: ReloadPlan,
  signal: AbortSignal,
): Promise<void> {
  const takeBack = await link.change(moves, signal);
  try {
    signal.throwIfAborted();
    if (Object.keys(change).length > 0) device.configure(change);
  } catch (cause) {
    const error = asGigatunError(cause, `reload ${name}`);
    const rest = await takeBack().then(
      () => '',
      (failure: unknown) => `; ${messageOf(failure)}`,
    );
    throw rest === '' ? error : new GigatunError(error.code, `${error.message}${rest}`, { cause: error });
  }
}
