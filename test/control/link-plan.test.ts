/** Plans of the link: which commands bring an interface up, in which order, and what undoes them. */
import { describe, expect, it } from 'vitest';
import { formatCommand } from '../../src/control/command.ts';
import type { InterfaceConfig, IpPrefix } from '../../src/control/config-types.ts';
import { readAllowedIp, readInterfaceAddress } from '../../src/control/config-values.ts';
import { type Action, type LinkFacts, type LinkPlan, needsMark, planLink } from '../../src/control/link-plan.ts';

const FACTS: LinkFacts = { mark: 0, suppressing: [], nftables: true, resolvconf: true };
const MARKED: LinkFacts = { ...FACTS, mark: 51_820 };

function prefixes(...texts: string[]): IpPrefix[] {
  return texts.map((text) => {
    const reading = readAllowedIp(text);
    if (!reading.ok) throw new Error(text);
    return reading.value;
  });
}

function link(part: Partial<InterfaceConfig> & { readonly at?: readonly string[] } = {}): InterfaceConfig {
  const { at = ['10.0.0.1/24', 'fd00::1/64'], ...rest } = part;
  const addresses = at.flatMap((text) => {
    const reading = readInterfaceAddress(text);
    return reading.ok ? reading.value : [];
  });
  const hooks = { preUp: [], postUp: [], preDown: [], postDown: [] };
  return { addresses, mtu: null, table: 'auto', dnsServers: [], dnsSearch: [], hooks, saveConfig: false, ...rest };
}

function planOf(config: InterfaceConfig, allowed: readonly string[], facts: LinkFacts = FACTS): LinkPlan {
  return planLink({ name: 'wg0', mtu: 1_420, interface: config, prefixes: prefixes(...allowed) }, facts);
}

/** One line per action; input behind `<` on one line. */
function textOf(action: Action): string {
  if (action.kind === 'write') return `write ${action.text} ${action.path}`;
  const { input } = action.command;
  return (
    formatCommand(action.command) + (input === undefined ? '' : ` < ${input.trim().replaceAll(/\s*\n\s*/g, '; ')}`)
  );
}

function stepsOf(plan: LinkPlan): string[] {
  return plan.steps.map(({ action }) => textOf(action));
}

function undosOf(plan: LinkPlan): string[] {
  return plan.steps.flatMap(({ undo }) => (undo === null ? [] : textOf(undo)));
}

describe('an ordinary link', () => {
  it('gets its addresses, its MTU and up, and the routes, longest first', () => {
    const plan = planOf(link(), ['172.16.0.0/12', '192.168.1.0/24', 'fd01::/48', '172.16.0.0/12']);
    expect(stepsOf(plan)).toEqual([
      'ip -4 address add 10.0.0.1/24 dev wg0',
      'ip -6 address add fd00::1/64 dev wg0',
      'ip link set dev wg0 mtu 1420 up',
      'ip -4 -batch - < route add 192.168.1.0/24 dev wg0; route add 172.16.0.0/12 dev wg0',
      'ip -6 -batch - < route add fd01::/48 dev wg0',
    ]);
    expect(undosOf(plan)).toEqual([]);
    expect(plan.warnings).toEqual([]);
  });

  it('needs no routes inside its own networks', () => {
    expect(stepsOf(planOf(link(), ['10.0.0.2/32', '10.0.0.0/24', 'fd00::2/128']))).toHaveLength(3);
  });

  it('needs a route for a network that only holds its own', () => {
    expect(stepsOf(planOf(link(), ['10.0.0.0/16'])).at(-1)).toContain('route add 10.0.0.0/16 dev wg0');
  });

  it('needs a route beside an address without a network', () => {
    const plan = planOf(link({ at: ['10.0.0.1/32'] }), ['10.0.0.2/32']);
    expect(stepsOf(plan).at(-1)).toBe('ip -4 -batch - < route add 10.0.0.2/32 dev wg0');
  });
});

describe('a routing table of its own', () => {
  it('holds all routes, default ones too, without a rule', () => {
    const plan = planOf(link({ table: 42 }), ['0.0.0.0/0', '10.0.0.2/32']);
    expect(stepsOf(plan).slice(3)).toEqual([
      'ip -4 -batch - < route add 10.0.0.2/32 dev wg0 table 42; route add 0.0.0.0/0 dev wg0 table 42',
    ]);
  });

  it('"off" holds none', () => {
    const plan = planOf(link({ table: 'off' }), ['0.0.0.0/0', '::/0', '10.1.0.0/16']);
    expect(stepsOf(plan)).toHaveLength(3);
    expect(needsMark(link({ table: 'off' }), prefixes('0.0.0.0/0'))).toBe(false);
  });
});

describe('a default route', () => {
  it('needs a mark, others do not', () => {
    expect(needsMark(link(), prefixes('::/0'))).toBe(true);
    expect(needsMark(link(), prefixes('0.0.0.0/1', '128.0.0.0/1'))).toBe(false);
  });

  it('goes into a table for what is not marked, and everything beside the interface is undone', () => {
    const plan = planOf(link(), ['0.0.0.0/0'], MARKED);
    expect(stepsOf(plan).slice(3)).toEqual([
      'ip -4 route add 0.0.0.0/0 dev wg0 table 51820',
      'ip -4 rule add not fwmark 51820 table 51820',
      'ip -4 rule add table main suppress_prefixlength 0',
      'write 1 /proc/sys/net/ipv4/conf/all/src_valid_mark',
      expect.stringMatching(
        /^nft -f - < add table ip gigatun-wg0; delete table ip gigatun-wg0; table ip gigatun-wg0 {/,
      ),
    ]);
    expect(undosOf(plan)).toEqual([
      'ip -4 rule delete not fwmark 51820 table 51820',
      'ip -4 rule delete table main suppress_prefixlength 0',
      'nft -f - < delete table ip gigatun-wg0',
    ]);
  });

  it('of IPv6 has its own rules and no reverse path setting', () => {
    const steps = stepsOf(planOf(link(), ['::/0'], MARKED)).slice(3);
    expect(steps.map((step) => step.split(' ').slice(0, 3).join(' '))).toEqual([
      'ip -6 route',
      'ip -6 rule',
      'ip -6 rule',
      'nft -f -',
    ]);
    expect(steps[3]).toContain('iifname != "wg0" ip6 daddr fd00::1 fib saddr type != local drop');
    expect(steps[3]).not.toContain('10.0.0.1');
  });

  it('leaves a rule alone that is there already', () => {
    const plan = planOf(link(), ['0.0.0.0/0', '::/0'], { ...MARKED, suppressing: [4] });
    expect(stepsOf(plan).filter((step) => step.includes('suppress'))).toEqual([
      'ip -6 rule add table main suppress_prefixlength 0',
    ]);
    expect(undosOf(plan).filter((step) => step.includes('suppress'))).toHaveLength(1);
  });

  it('without nft is warned about', () => {
    const plan = planOf(link(), ['0.0.0.0/0'], { ...MARKED, nftables: false });
    expect(stepsOf(plan).some((step) => step.startsWith('nft'))).toBe(false);
    expect(plan.warnings).toEqual([expect.stringContaining('install nftables')]);
  });

  it('lets the setting fail that containers may not change, and nothing else', () => {
    const plan = planOf(link(), ['0.0.0.0/0', '::/0', '10.1.0.0/16'], MARKED);
    expect(plan.steps.filter(({ optional }) => optional).map(({ action }) => action.kind)).toEqual(['write']);
  });

  it('of an interface with a strange name has a table that nft can name', () => {
    const request = { name: 'a=b+c.d-_', mtu: 1_420, interface: link(), prefixes: prefixes('0.0.0.0/0') };
    expect(stepsOf(planLink(request, MARKED)).at(-1)).toContain('table ip gigatun-a_b_c.d-_ {');
  });
});

describe('name servers', () => {
  const dns = link({ dnsServers: ['10.0.0.53', 'fd00::53'], dnsSearch: ['a.example', 'b.example'] });

  it('go to resolvconf, and away again', () => {
    const plan = planOf(dns, []);
    expect(stepsOf(plan).at(-1)).toBe(
      'resolvconf -a wg0 -m 0 -x < nameserver 10.0.0.53; nameserver fd00::53; search a.example b.example',
    );
    expect(undosOf(plan)).toEqual(['resolvconf -d wg0 -f']);
  });

  it('are warned about where there is none', () => {
    const plan = planOf(dns, [], { ...FACTS, resolvconf: false });
    expect(stepsOf(plan)).toHaveLength(3);
    expect(plan.warnings).toEqual([expect.stringContaining('DNS is not applied')]);
  });
});
