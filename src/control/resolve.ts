/**
 * Looks the endpoints' names up. A name server that does not answer is asked again, each time a little later, up to
 * WG_ENDPOINT_RESOLUTION_RETRIES times, as `wg` has it; a name that does not exist is an error at once.
 */
import { lookup } from 'node:dns/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { GigatunError } from '../errors.ts';
import type { NamedEndpoint, NumericEndpoint, PeerConfig, PeerFileConfig } from './config-types.ts';
import { codeOf, messageOf } from './system-error.ts';

export interface ResolveTools {
  /** Name to numeric address; the system's resolver unless replaced. */
  readonly lookup?: (host: string) => Promise<string>;
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

/**
 * Replaces the names of all peers' endpoints by numeric addresses, all at once.
 *
 * @throws GigatunError NOT_FOUND for a name that does not exist, SYSTEM when nobody answered.
 */
export function resolvePeers(peers: readonly PeerFileConfig[], tools: ResolveTools): Promise<PeerConfig[]> {
  return Promise.all(
    peers.map(async (peer) => ({
      ...peer,
      endpoint: peer.endpoint === null ? null : await resolveEndpoint(peer.endpoint, tools),
    })),
  );
}

async function resolveEndpoint({ host, port }: NamedEndpoint, tools: ResolveTools): Promise<NumericEndpoint> {
  const find = tools.lookup ?? lookupAddress;
  const pause = tools.delay ?? defaultDelay;
  const triesMax = tools.triesMax ?? triesFromEnvironment(process.env.WG_ENDPOINT_RESOLUTION_RETRIES);
  let waitMs = DELAY_FIRST_MS;
  for (let tries = 1; ; tries++) {
    tools.signal.throwIfAborted();
    try {
      return { address: await find(host), port };
    } catch (error) {
      if (!mayPass(error) || tries >= triesMax) throw lookupError(host, tries, error);
      const seconds = (waitMs / 1_000).toFixed(1);
      tools.report(`${host}: ${messageOf(error)}; trying again in ${seconds} s (${tries} of ${triesMax} tries)`);
    }
    await pause(waitMs, tools.signal);
    waitMs = Math.min(DELAY_MAX_MS, waitMs * DELAY_GROWTH);
  }
}

async function lookupAddress(host: string): Promise<string> {
  const { address } = await lookup(host);
  return address;
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
