/** Packets of a namespace, counted by rules of nftables: what passes a host, told by somebody who is no part of the tunnel. Needs nft. */
import type { Namespace } from '../../src/lab/namespaces.ts';

export interface PacketCounters<Name extends string> {
  /** Packets that each rule has met so far. */
  read(): Record<Name, number>;
}

let tablesMade = 0;

/**
 * Counts, from now on, the packets that pass a hook of the namespace's IP stack.
 *
 * @param rules by name (letters and digits), what a packet must match, as nft writes it: `udp dport 51820 ip ecn ce`
 */
export function countPackets<Name extends string>(
  namespace: Namespace,
  hook: 'input' | 'output' | 'forward',
  rules: Readonly<Record<Name, string>>,
): PacketCounters<Name> {
  tablesMade += 1;
  const table = `inet count${tablesMade}`;
  const names = Object.keys(rules) as Name[];
  // Prefixed, for many a good name is a word of nft's own.
  const lines = [
    `add table ${table}`,
    ...names.map((name) => `add counter ${table} c_${name}`),
    `add chain ${table} passing { type filter hook ${hook} priority -50; }`,
    ...names.map((name) => `add rule ${table} passing ${rules[name]} counter name "c_${name}"`),
  ];
  namespace.runSync(['nft', '-f', '-'], `${lines.join('\n')}\n`);
  return {
    read() {
      const text = namespace.runSync(['nft', '-j', 'list', 'counters', 'table', ...table.split(' ')]);
      const { nftables } = JSON.parse(text) as { nftables: { counter?: { name: string; packets: number } }[] };
      const found = new Map(nftables.map(({ counter }) => [counter?.name, counter?.packets]));
      return Object.fromEntries(names.map((name) => [name, found.get(`c_${name}`) ?? Number.NaN])) as Record<
        Name,
        number
      >;
    },
  };
}
