/**
 * Looks the endpoints' names up. A name server that does not answer is asked again, each time a little later, up to
 * WG_ENDPOINT_RESOLUTION_RETRIES times, as `wg` has it; a name that does not exist is an error at once.
 *
 * A name may have several addresses, of both families: the first is where a peer's endpoint begins, and `name-watch.ts`
 * goes through the others when nobody answers there.
 */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { GigatunError } from '../errors.ts';
import type { HistorySettings } from '../history/settings.ts';
import type {
  HistoryFileSettings,
  NamedEndpoint,
  NumericEndpoint,
  PeerConfig,
  PeerFileConfig,
} from './config-types.ts';
import { codeOf, messageOf } from './system-error.ts';

/** Name to numeric addresses, the best first; never none. */
export type LookUp = (host: string) => Promise<readonly string[]>;

export interface ResolvedPeer extends PeerConfig {
  /** All addresses of its endpoint's name, the endpoint's first; empty where the endpoint is no name. */
  readonly addresses: readonly string[];
}

export interface ResolveTools {
  /** The system's resolver unless replaced. */
  readonly lookup?: LookUp;
  /** Milliseconds before a repetition; replaced in tests. */
  readonly delay?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Told of each repetition, in words. */
  readonly report: (text: string) => void;
  readonly signal: AbortSignal;
  /** How often to try in all; Infinity for ever. */
  readonly triesMax?: number;
}

const TRIES_DEFAULT = 15;
const DELAY_FIRST_MS = 1_000;
const DELAY_GROWTH = 1.2;
const DELAY_MAX_MS = 20_000;
/** Further addresses of a name are not tried: each costs a peer five seconds. */
const ADDRESSES_MAX = 8;

/**
 * Replaces the names of all peers' endpoints by numeric addresses, all at once.
 *
 * @throws GigatunError NOT_FOUND for a name that does not exist, SYSTEM when nobody answered.
 */
export function resolvePeers(peers: readonly PeerFileConfig[], tools: ResolveTools): Promise<ResolvedPeer[]> {
  return Promise.all(
    peers.map(async ({ endpoint, history: named = null, ...peer }) => {
      const history = named === null ? {} : { history: await resolveHistory(named, tools) };
      if (endpoint === null) return { ...peer, ...history, endpoint: null, addresses: [] };
      const { host, port } = endpoint;
      const addresses = isNumeric(host) ? [host] : await resolveName(host, tools);
      const [address = host] = addresses;
      return { ...peer, ...history, endpoint: { address, port }, addresses: isNumeric(host) ? [] : addresses };
    }),
  );
}

/**
 * Replaces the names of a peer's paths by numeric addresses, the first of each.
 *
 * @throws GigatunError NOT_FOUND for a name that does not exist, SYSTEM when nobody answered.
 */
export async function resolveHistory(named: HistoryFileSettings, tools: ResolveTools): Promise<HistorySettings> {
  const paths = named.paths.map(async ({ endpoint, ...path }) => {
    return { ...path, endpoint: endpoint === null ? null : await resolveEndpoint(endpoint, tools) };
  });
  return { ...named, paths: await Promise.all(paths) };
}

async function resolveEndpoint({ host, port }: NamedEndpoint, tools: ResolveTools): Promise<NumericEndpoint> {
  if (isNumeric(host)) return { address: host, port };
  const [address = host] = await resolveName(host, tools);
  return { address, port };
}

/** Whether a host needs no look-up; a zone behind `%` is part of an address. */
export function isNumeric(host: string): boolean {
  return isIP(host) !== 0;
}

async function resolveName(host: string, tools: ResolveTools): Promise<readonly string[]> {
  const find = tools.lookup ?? lookUpAddresses;
  const pause = tools.delay ?? defaultDelay;
  const triesMax = tools.triesMax ?? triesFromEnvironment(process.env.WG_ENDPOINT_RESOLUTION_RETRIES);
  let waitMs = DELAY_FIRST_MS;
  for (let tries = 1; ; tries++) {
    tools.signal.throwIfAborted();
    try {
      return await find(host);
    } catch (error) {
      if (!mayPass(error) || tries >= triesMax) throw lookupError(host, tries, error);
      const seconds = (waitMs / 1_000).toFixed(1);
      tools.report(`${host}: ${messageOf(error)}; trying again in ${seconds} s (${tries} of ${triesMax} tries)`);
    }
    await pause(waitMs, tools.signal);
    waitMs = Math.min(DELAY_MAX_MS, waitMs * DELAY_GROWTH);
  }
}

/** Asks the system's resolver, in whose order the addresses stay but for `alternateFamilies`. */
export const lookUpAddresses: LookUp = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true });
  return alternateFamilies([...new Set(found.map(({ address }) => address))]).slice(0, ADDRESSES_MAX);
};

/** Both families in turn, the first one's first, so that one that leads nowhere costs one try (RFC 8305, section 4). */
export function alternateFamilies(addresses: readonly string[]): string[] {
  const ipv6First = isIPv6(addresses[0] ?? '');
  const first = addresses.filter((address) => isIPv6(address) === ipv6First);
  const second = addresses.filter((address) => isIPv6(address) !== ipv6First);
  const pairs = Array.from({ length: Math.max(first.length, second.length) }, (_, at) => [first[at], second[at]]);
  return pairs.flat().filter((address) => address !== undefined);
}

async function defaultDelay(milliseconds: number, signal: AbortSignal): Promise<void> {
  // Aborted, it rejects with an error of its own; the caller looks at the signal and throws its reason.
  await delay(milliseconds, undefined, { signal }).catch(() => {});
}

/** Reads WG_ENDPOINT_RESOLUTION_RETRIES: a number of tries, or `infinity`; 15 otherwise. */
export function triesFromEnvironment(text: string | undefined): number {
  if (text?.toLowerCase() === 'infinity') return Number.POSITIVE_INFINITY;
  return text !== undefined && /^[1-9]\d{0,6}$/.test(text) ? Number(text) : TRIES_DEFAULT;
}

/** EAI_AGAIN is a server that did not answer; the others are answers. */
function mayPass(error: unknown): boolean {
  return codeOf(error) === 'EAI_AGAIN' || codeOf(error) === 'ETIMEOUT';
}

function lookupError(host: string, tries: number, cause: unknown): GigatunError {
  if (mayPass(cause)) {
    const text = `no answer for the endpoint ${host} after ${tries} tries; check the network and the name servers`;
    return new GigatunError('SYSTEM', text, { cause });
  }
  return new GigatunError(
    'NOT_FOUND',
    `the endpoint ${host} has no address (${codeOf(cause) ?? messageOf(cause)}); check its spelling`,
    {
      cause,
    },
  );
}
