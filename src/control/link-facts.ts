/** Looks at the host before a link is planned: a free routing table, rules that are there already, programs, the MTU of the way out. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { RunCommand } from './command.ts';
import { DEFAULT_MTU, MTU_MIN_IPV6 } from './config-limits.ts';
import type { NumericEndpoint } from './config-types.ts';
import type { Family, LinkFacts } from './link-plan.ts';

/** First routing table and mark that are tried, WireGuard's usual port as wg-quick has it. */
const FIRST_TABLE = 51_820;
const TABLES_TRIED_MAX = 1_000;

/** Outer IPv6 header 40, UDP 8, transport message 32: what the tunnel adds to a packet, at most. */
const OVERHEAD_LENGTH = 80;
/** Above the common jumbo frame a larger inner packet gains nothing; loopback would have 65,456. */
const MTU_MAX = 8_920;

/**
 * Gathers what `planLink` needs to know.
 *
 * @param mark the mark of the tunnel's datagrams, 0 when the plan needs none.
 */
export async function gatherFacts(run: RunCommand, mark: number): Promise<LinkFacts> {
  const suppressing: Family[] = [];
  const families: readonly Family[] = mark === 0 ? [] : [4, 6];
  for (const family of families) {
    const rules = await showOrNothing(run, [`-${family}`, 'rule', 'show']);
    if (/from all lookup main suppress_prefixlength 0/.test(rules)) suppressing.push(family);
  }
  return { mark, suppressing, nftables: isInstalled('nft'), resolvconf: isInstalled('resolvconf') };
}

/** The first routing table from 51820 on that holds no route and that no rule names; also the mark that goes with it. */
export async function findFreeTable(run: RunCommand): Promise<number> {
  const rules = (await showOrNothing(run, ['-4', 'rule', 'show'])) + (await showOrNothing(run, ['-6', 'rule', 'show']));
  for (let table = FIRST_TABLE; table < FIRST_TABLE + TABLES_TRIED_MAX; table++) {
    if (new RegExp(`lookup ${table}\\b`).test(rules)) continue;
    const routes4 = await showOrNothing(run, ['-4', 'route', 'show', 'table', `${table}`]);
    const routes6 = await showOrNothing(run, ['-6', 'route', 'show', 'table', `${table}`]);
    if (routes4.trim() === '' && routes6.trim() === '') return table;
  }
  return FIRST_TABLE;
}

/** What an MTU is derived from: endpoints, the mark of datagrams to them, and bytes that it must leave free. */
export interface MtuQuestion {
  readonly endpoints: readonly NumericEndpoint[];
  readonly mark: number;
  readonly reserve?: number;
}

/**
 * The MTU for an interface whose file names none: the smallest MTU of the routes towards the endpoints, less what the
 * tunnel adds and `reserve`, kept between 1,280 and 8,920; 1,420 less `reserve` when no route tells.
 */
export async function deriveMtu(run: RunCommand, { endpoints, mark, reserve = 0 }: MtuQuestion): Promise<number> {
  const mtus: number[] = [];
  const devices = new Set<string>();
  for (const route of await routesTo(run, endpoints, mark)) {
    const own = /\bmtu (?:lock )?(\d+)/.exec(route)?.[1];
    const device = /\bdev (\S+)/.exec(route)?.[1];
    if (own !== undefined) mtus.push(Number(own));
    else if (device !== undefined) devices.add(device);
  }
  for (const device of devices) {
    const mtu = await linkMtu(run, device);
    if (mtu !== null) mtus.push(mtu);
  }
  if (mtus.length === 0) return DEFAULT_MTU - reserve;
  const least = mtus.reduce((left, right) => Math.min(left, right));
  return Math.min(MTU_MAX, Math.max(MTU_MIN_IPV6, least - OVERHEAD_LENGTH - reserve));
}

/** One line for each route that there is. All are asked for at once: a program for each of thousands would take minutes. */
async function routesTo(run: RunCommand, endpoints: readonly NumericEndpoint[], mark: number): Promise<string[]> {
  if (endpoints.length === 0) return [];
  const marked = mark === 0 ? '' : ` mark ${mark}`;
  const questions = endpoints.map(({ address }) => {
    const [numeric = '', zone] = address.split('%');
    return `route get ${numeric}${zone === undefined ? '' : ` oif ${zone}`}${marked}\n`;
  });
  // An address without a route fails, and the status of all with it; the others are answered nevertheless.
  const input = [...new Set(questions)].join('');
  const { stdout } = await run({ program: 'ip', args: ['-o', '-force', '-batch', '-'], input });
  return stdout.split('\n');
}

async function linkMtu(run: RunCommand, device: string): Promise<number | null> {
  const link = await showOrNothing(run, ['-o', 'link', 'show', 'dev', device]);
  const mtu = /\bmtu (\d+)/.exec(link)?.[1];
  return mtu === undefined ? null : Number(mtu);
}

/** What `ip` shows; a table or family that does not exist shows nothing. */
async function showOrNothing(run: RunCommand, args: readonly string[]): Promise<string> {
  const { status, stdout } = await run({ program: 'ip', args });
  return status === 0 ? stdout : '';
}

/** Whether a program is in the PATH. */
export function isInstalled(program: string): boolean {
  const directories = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '');
  return directories.some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether an interface of this name exists in this network namespace. */
export async function linkExists(run: RunCommand, name: string): Promise<boolean> {
  const { status } = await run({ program: 'ip', args: ['link', 'show', 'dev', name] });
  return status === 0;
}
