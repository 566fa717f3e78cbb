/** The whole state of a namespace that a tunnel may change, as text, to be compared before and after. */
import { readdirSync } from 'node:fs';
import type { Namespace } from '../../src/lab/namespaces.ts';

const COMMANDS: readonly (readonly string[])[] = [
  ['ip', '-o', 'addr'],
  ['ip', '-o', '-4', 'rule'],
  ['ip', '-o', '-6', 'rule'],
  ['ip', '-o', '-4', 'route', 'show', 'table', 'all'],
  ['ip', '-o', '-6', 'route', 'show', 'table', 'all'],
  ['nft', 'list', 'ruleset'],
  ['sh', '-c', "cut -d ' ' -f -8 /proc/net/udp /proc/net/udp6"],
];

/** Interfaces, addresses, rules, routes of all tables, nftables, UDP sockets; and what lies in a run directory, if one is given. */
export function namespaceState(namespace: Namespace, runDirectory: string | null = null): string {
  const shown = COMMANDS.map((command) => withoutLifetimes(namespace.runSync(command)));
  return [...shown, ...(runDirectory === null ? [] : readdirSync(runDirectory).sort())].join('\n');
}

/** Link-local addresses come and go by themselves while the kernel looks for duplicates: the device gets none. */
export function settleDevice(namespace: Namespace, device: string): void {
  namespace.ip(`link set ${device} addrgenmode none`, `addr flush dev ${device} scope link`);
}

/** Times that run down are no state. */
function withoutLifetimes(text: string): string {
  return text.replaceAll(/valid_lft \S+ preferred_lft \S+/g, '').replaceAll(/expires \S+/g, '');
}
