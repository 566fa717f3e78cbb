/**
 * What has to be done to a TUN interface and the host around it, as a list of steps, each with its undoing: addresses,
 * MTU and up, name servers, routes, and for a default route the rules that keep the tunnel's own datagrams outside it.
 * Pure: configuration and facts in, steps out. Addresses and routes need no undoing: they go with the interface.
 *
 * A default route goes the way wg-quick takes: it stands in a table of its own; a rule sends there everything that does
 * not carry the tunnel's mark; before it, a rule looks in the main table for anything better than a default route.
 */
import type { Command } from './command.ts';
import type { InterfaceConfig, IpPrefix } from './config-types.ts';
import { coversPrefix, formatAddress, formatPrefix } from './ip-text.ts';

export type Family = 4 | 6;

/** Something done to the host. */
export type Action =
  | { readonly kind: 'run'; readonly command: Command }
  | { readonly kind: 'write'; readonly path: string; readonly text: string };

export interface LinkStep {
  readonly action: Action;
  /** Null where removing the interface undoes it. */
  readonly undo: Action | null;
  /** Its failure is a warning, not the end. */
  readonly optional: boolean;
}

/** A step with what a reload needs beside it, to go from one plan to another while the interface stays. */
export interface LinkPart extends LinkStep {
  /** What it makes; no two parts of a plan make the same. */
  readonly key: string;
  /** What takes it back while the interface stays; null where nothing need. Where there is an `undo`, it is that. */
  readonly takeBack: Action | null;
  /** What sets it anew over another of the same key; null where that must be taken back before. */
  readonly renew: Action | null;
  /** A batch of routes: each as `ip route` takes it. */
  readonly routes: readonly string[] | null;
}

/** What the plan depends on beside the configuration. */
export interface LinkFacts {
  /** Mark of the tunnel's own datagrams, also the number of its routing table; 0 when there is no default route. */
  readonly mark: number;
  /** Families whose rules already look into the main table for anything but default routes. */
  readonly suppressing: readonly Family[];
  readonly nftables: boolean;
  readonly resolvconf: boolean;
}

export interface LinkRequest {
  readonly name: string;
  readonly mtu: number;
  readonly interface: InterfaceConfig;
  /** Allowed IPs of all peers. */
  readonly prefixes: readonly IpPrefix[];
}

export interface LinkPlan {
  readonly steps: readonly LinkStep[];
  readonly warnings: readonly string[];
}

/** Whether the plan of these prefixes needs a mark. */
export function needsMark(config: InterfaceConfig, prefixes: readonly IpPrefix[]): boolean {
  return config.table === 'auto' && prefixes.some(({ length }) => length === 0);
}

/** Plans the set-up of an interface that exists and is down. */
export function planLink(request: LinkRequest, facts: LinkFacts): LinkPlan {
  const { parts, warnings } = planLinkParts(request, facts);
  return { steps: parts, warnings };
}

/** The same plan as parts that can be compared with those of another. */
export function planLinkParts(
  request: LinkRequest,
  facts: LinkFacts,
): { readonly parts: readonly LinkPart[]; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const parts = [
    ...request.interface.addresses.map((address) => addressPart(request.name, address)),
    mtuPart(request),
    ...dnsSteps(request, facts, warnings),
    ...routeSteps(request),
    ...defaultFamilies(request).flatMap((family) => defaultRouteSteps(request, family, facts, warnings)),
  ];
  return { parts, warnings };
}

function addressPart(name: string, address: IpPrefix): LinkPart {
  const [flag, text] = [familyFlag(familyOf(address)), formatPrefix(address)];
  const part = step(`address ${text}`, ip(flag, 'address', 'add', text, 'dev', name));
  return { ...part, takeBack: run(ip(flag, 'address', 'delete', text, 'dev', name)) };
}

/** A reload leaves the interface up or down, as it finds it. */
function mtuPart({ name, mtu }: LinkRequest): LinkPart {
  const words = ['link', 'set', 'dev', name, 'mtu', `${mtu}`];
  return { ...step('mtu', ip(...words, 'up')), renew: run(ip(...words)) };
}

function dnsSteps({ name, interface: config }: LinkRequest, facts: LinkFacts, warnings: string[]): LinkPart[] {
  if (config.dnsServers.length === 0) return [];
  if (!facts.resolvconf) {
    warnings.push('DNS is not applied: there is no resolvconf; install openresolv, or set the name servers in PostUp');
    return [];
  }
  const lines = config.dnsServers.map((server) => `nameserver ${server}\n`);
  if (config.dnsSearch.length > 0) lines.push(`search ${config.dnsSearch.join(' ')}\n`);
  // Metric 0 and exclusive: these servers answer for every name while the tunnel is up.
  const set: Command = { program: 'resolvconf', args: ['-a', name, '-m', '0', '-x'], input: lines.join('') };
  return [renewable(step('dns', set, { program: 'resolvconf', args: ['-d', name, '-f'] }))];
}

/** Routes of all prefixes but default ones, one batch per family, longest first. */
function routeSteps(request: LinkRequest): LinkPart[] {
  const { name, interface: config } = request;
  if (config.table === 'off') return [];
  const suffix = config.table === 'auto' ? '' : ` table ${config.table}`;
  const families: readonly Family[] = [4, 6];
  return families.flatMap((family) => {
    const routes = routedPrefixes(request, family).map((prefix) => `${formatPrefix(prefix)} dev ${name}${suffix}`);
    if (routes.length === 0) return [];
    return [{ ...step(`routes ${familyFlag(family)}`, routeBatch('add', family, routes)), routes }];
  });
}

/**
 * One `ip` for many routes. Adding stops at the first that fails; deleting goes on, for what is gone need not be deleted.
 *
 * @param routes each as `ip route` takes it.
 */
export function routeBatch(verb: 'add' | 'replace' | 'delete', family: Family, routes: readonly string[]): Command {
  const input = routes.map((route) => `route ${verb} ${route}\n`).join('');
  return { ...ip(familyFlag(family), ...(verb === 'delete' ? ['-force'] : []), '-batch', '-'), input };
}

/** With table `auto`, a prefix inside one of the interface's own networks has its route already. */
function routedPrefixes({ interface: config, prefixes }: LinkRequest, family: Family): IpPrefix[] {
  const sorted = uniquePrefixes(prefixes.filter((prefix) => familyOf(prefix) === family)).sort(
    (left, right) => right.length - left.length,
  );
  if (config.table !== 'auto') return sorted;
  const networks = config.addresses.filter(({ address, length }) => length < address.length * 8);
  return sorted.filter((prefix) => prefix.length > 0 && !networks.some((network) => coversPrefix(network, prefix)));
}

function uniquePrefixes(prefixes: readonly IpPrefix[]): IpPrefix[] {
  return [...new Map(prefixes.map((prefix) => [formatPrefix(prefix), prefix])).values()];
}

function defaultFamilies({ interface: config, prefixes }: LinkRequest): Family[] {
  if (config.table !== 'auto') return [];
  const families: readonly Family[] = [4, 6];
  return families.filter((family) => prefixes.some((prefix) => prefix.length === 0 && familyOf(prefix) === family));
}

function defaultRouteSteps(request: LinkRequest, family: Family, facts: LinkFacts, warnings: string[]): LinkPart[] {
  const { name } = request;
  const flag = familyFlag(family);
  const table = `${facts.mark}`;
  const destination = family === 4 ? '0.0.0.0/0' : '::/0';
  const marked = ['not', 'fwmark', table, 'table', table];
  const suppress = ['table', 'main', 'suppress_prefixlength', '0'];
  const route = step(
    `default route ${flag} ${table}`,
    ip(flag, 'route', 'add', destination, 'dev', name, 'table', table),
  );
  return [
    { ...route, takeBack: run(ip(flag, 'route', 'delete', destination, 'dev', name, 'table', table)) },
    step(`rule ${flag} ${table}`, ip(flag, 'rule', 'add', ...marked), ip(flag, 'rule', 'delete', ...marked)),
    // The kernel puts each rule before the ones that are there, and this one belongs before the other: hence its table.
    ...(facts.suppressing.includes(family)
      ? []
      : [
          step(
            `rule ${flag} before ${table}`,
            ip(flag, 'rule', 'add', ...suppress),
            ip(flag, 'rule', 'delete', ...suppress),
          ),
        ]),
    ...(family === 4 ? [reversePathStep()] : []),
    ...guardSteps(request, family, facts, warnings),
  ];
}

/** Lets the reverse path check see the mark, without which replies to the tunnel's datagrams look spoofed. */
function reversePathStep(): LinkPart {
  const action: Action = { kind: 'write', path: '/proc/sys/net/ipv4/conf/all/src_valid_mark', text: '1' };
  // Not undone: another tunnel may have come to need it; and containers may have /proc/sys read-only.
  return { key: 'src_valid_mark', action, undo: null, optional: true, takeBack: null, renew: null, routes: null };
}

function guardSteps(request: LinkRequest, family: Family, facts: LinkFacts, warnings: string[]): LinkPart[] {
  if (facts.nftables) {
    const table = `${family === 4 ? 'ip' : 'ip6'} ${guardTable(request.name)}`;
    const remove: Command = { program: 'nft', args: ['-f', '-'], input: `delete table ${table}\n` };
    const rules: Command = { program: 'nft', args: ['-f', '-'], input: guardRules(request, family, facts.mark) };
    return [renewable(step(`guard ${family}`, rules, remove))];
  }
  warnings.push(
    `IPv${family}: there is no nft, so packets to the tunnel's addresses from outside it are not dropped; install nftables`,
  );
  return [];
}

/** Name of the nftables table of an interface: nft knows fewer characters than the kernel. */
export function guardTable(name: string): string {
  return `gigatun-${name.replaceAll(/[=+]/g, '_')}`;
}

/**
 * Rules for nftables: nobody outside may send to the tunnel's inner addresses, and replies to the tunnel's own datagrams
 * get its mark, for the reverse path check. Adding, deleting and adding makes the table new even if one was left over.
 */
function guardRules({ name, interface: config }: LinkRequest, family: Family, mark: number): string {
  const protocol = family === 4 ? 'ip' : 'ip6';
  const table = `${protocol} ${guardTable(name)}`;
  const ownAddresses = config.addresses.filter((address) => familyOf(address) === family);
  const drops = ownAddresses.map(
    ({ address }) =>
      `    iifname != "${name}" ${protocol} daddr ${formatAddress(address)} fib saddr type != local drop\n`,
  );
  return `add table ${table}
delete table ${table}
table ${table} {
  chain inner {
    type filter hook prerouting priority raw;
${drops.join('')}  }
  chain restore {
    type filter hook prerouting priority mangle;
    meta l4proto udp meta mark set ct mark
  }
  chain save {
    type filter hook postrouting priority mangle;
    meta l4proto udp meta mark ${mark} ct mark set mark
  }
}
`;
}

function step(key: string, command: Command, undo: Command | null = null): LinkPart {
  const takeBack = undo === null ? null : run(undo);
  return { key, action: run(command), undo: takeBack, optional: false, takeBack, renew: null, routes: null };
}

/** For what replaces another of its kind by itself. */
function renewable(part: LinkPart): LinkPart {
  return { ...part, renew: part.action };
}

function run(command: Command): Action {
  return { kind: 'run', command };
}

function ip(...args: readonly string[]): Command {
  return { program: 'ip', args };
}

function familyOf({ address }: IpPrefix): Family {
  return address.length === 4 ? 4 : 6;
}

function familyFlag(family: Family): '-4' | '-6' {
  return family === 4 ? '-4' : '-6';
}
