/**
 * A host with one interface that understands the commands of a link, with the habits of Linux that matter to it: rules are
 * added in front, what exists cannot be added, what is not there cannot be deleted, an IPv4 address takes with it the later
 * ones of its network, and the last of them takes all IPv4 routes.
 */
import type { Command, CommandResult, RunCommand } from '../../../src/control/command.ts';
import { coversPrefix, parseAddress } from '../../../src/control/ip-text.ts';

export interface ModelHost {
  readonly run: RunCommand;
  /** What there is, in one form. */
  facts(): unknown;
  /** Number of commands so far. */
  readonly commandsCount: number;
  /** That command, counted from 0, fails, if it does anything. */
  failAt: number;
}

const FINE: CommandResult = { status: 0, stdout: '', stderr: '' };

export function modelHost(): ModelHost {
  const addresses: string[] = [];
  const routes = new Set<string>();
  const rules: Record<string, string[]> = { '-4': [], '-6': [] };
  const tables = new Map<string, string>();
  const link: Record<string, string> = { mtu: '', txqueuelen: '500', dns: '' };

  const rtnetlink = (words: string): CommandResult => ({ ...FINE, status: 2, stderr: `RTNETLINK answers: ${words}\n` });

  function address(family: string, verb: string, text: string): CommandResult {
    const name = `${family} ${text}`;
    if (verb === 'delete')
      return addresses.includes(name) ? deleteAddress(name) : rtnetlink('Cannot assign requested address');
    if (verb === 'add' && addresses.includes(name)) return rtnetlink('File exists');
    if (!addresses.includes(name)) addresses.push(name);
    return FINE;
  }

  function deleteAddress(name: string): CommandResult {
    const at = addresses.indexOf(name);
    const isPrimary = !addresses.slice(0, at).some((other) => isOneNetwork(other, name));
    const gone = addresses.filter(
      (other, where) =>
        other === name || (isPrimary && where > at && other.startsWith('-4') && isOneNetwork(other, name)),
    );
    addresses.splice(0, addresses.length, ...addresses.filter((other) => !gone.includes(other)));
    if (name.startsWith('-4') && !addresses.some((other) => other.startsWith('-4')))
      for (const route of [...routes]) if (route.startsWith('-4')) routes.delete(route);
    return FINE;
  }

  function route(family: string, verb: string, words: readonly string[]): CommandResult {
    const name = `${family} ${words.join(' ')}`;
    if (verb === 'delete') return routes.delete(name) ? FINE : rtnetlink('No such process');
    if (verb === 'add' && routes.has(name)) return rtnetlink('File exists');
    routes.add(name);
    return FINE;
  }

  function rule(family: string, verb: string, words: readonly string[]): CommandResult {
    const list = rules[family] ?? [];
    const at = list.indexOf(words.join(' '));
    if (verb === 'add') {
      if (at !== -1) return rtnetlink('File exists');
      list.unshift(words.join(' '));
    } else if (at === -1) return rtnetlink('No such file or directory');
    else list.splice(at, 1);
    return FINE;
  }

  function batch(family: string, input: string, forced: boolean): CommandResult {
    let worst = FINE;
    for (const [at, line] of input.trimEnd().split('\n').entries()) {
      const [, verb = '', ...words] = line.split(' ');
      if (verb === 'get') continue;
      const { status, stderr } = route(family, verb, words);
      if (status === 0) continue;
      worst = { ...FINE, status: 1, stderr: `${worst.stderr}${stderr}Command failed -:${at + 1}\n` };
      if (!forced) return worst;
    }
    return worst;
  }

  function nft(input: string): CommandResult {
    const [, name = ''] = /table (ip6? \S+)/.exec(input) ?? [];
    if (!input.startsWith('delete')) tables.set(name, input);
    else if (!tables.delete(name)) return { ...FINE, status: 1, stderr: 'Error: No such file or directory' };
    return FINE;
  }

  function execute({ program, args, input = '' }: Command): CommandResult {
    const [first = '', second = '', third = '', fourth = '', ...rest] = args;
    if (program === 'resolvconf') link.dns = first === '-a' ? input : '';
    if (program === 'nft') return nft(input);
    if (program !== 'ip' || third === 'show') return FINE;
    if (args.includes('-batch')) return batch(first, input, args.includes('-force'));
    if (second === 'address') return address(first, third, fourth);
    if (second === 'route') return route(first, third, [fourth, ...rest]);
    if (second === 'rule') return rule(first, third, [fourth, ...rest]);
    if (first === 'link' && second === 'set') link[rest[0] ?? ''] = rest[1] ?? '';
    return FINE;
  }

  const host: ModelHost & { commandsCount: number } = {
    commandsCount: 0,
    failAt: -1,
    run: async (command) => {
      const isFailing = host.commandsCount === host.failAt;
      host.commandsCount++;
      return isFailing ? { ...FINE, status: 2, stderr: 'Error: not today' } : execute(command);
    },
    facts: () => ({ addresses: [...addresses].sort(), routes: [...routes].sort(), rules, tables, link }),
  };
  return host;
}

function isOneNetwork(left: string, right: string): boolean {
  const [one, other] = [left, right].map((text) => {
    const [family, address = '', length] = text.split(/[ /]/);
    return { family, prefix: { address: parseAddress(address) ?? new Uint8Array(0), length: Number(length) } };
  });
  if (one === undefined || other === undefined || one.family !== other.family) return false;
  return one.prefix.length === other.prefix.length && coversPrefix(one.prefix, other.prefix);
}
