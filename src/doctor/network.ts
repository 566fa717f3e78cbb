/** Network: what else on this machine meets a tunnel: forwarding, reverse path filters, another WireGuard, a taken port. */
import { about, type Finding } from './check.ts';

export interface NetworkFacts {
  /** null where the kernel does not tell. */
  readonly forwarding4: boolean | null;
  readonly forwarding6: boolean | null;
  /** net.ipv4.conf.all.rp_filter: 0 off, 1 strict, 2 loose; null where unknown. */
  readonly reversePathFilter: number | null;
  /** Interfaces of the kernel's own WireGuard. */
  readonly kernelInterfaces: readonly string[];
  /** Whether somebody in this network namespace holds UDP port 51820; null where unknown. */
  readonly usualPortTaken: boolean | null;
  /** Interfaces whose gigatun holds that port. */
  readonly usualPortTunnels: readonly string[];
}

/** Port of most WireGuard configurations. */
export const USUAL_PORT = 51_820;

export function judgeNetwork(facts: NetworkFacts): Finding[] {
  return [
    judgeForwarding(facts),
    judgeReversePath(facts.reversePathFilter),
    judgeKernelInterfaces(facts.kernelInterfaces),
    judgePort(facts),
  ];
}

function judgeForwarding({ forwarding4, forwarding6 }: NetworkFacts): Finding {
  const state = (on: boolean | null): string => (on === null ? 'unknown' : on ? 'on' : 'off');
  const check = about('forwarding', 'forwarding', `IPv4 ${state(forwarding4)}, IPv6 ${state(forwarding6)}`);
  if (forwarding4 === true && forwarding6 === true) return check.ok('this host passes packets on between interfaces');
  return check.note(
    'as a gateway for others this host has to forward; for its own traffic it has not',
    'as a gateway: sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1',
  );
}

function judgeReversePath(filter: number | null): Finding {
  const names = ['off', 'strict', 'loose'];
  const value = filter === null ? 'unknown' : (names[filter] ?? String(filter));
  const check = about('reverse-path', 'rp_filter', value);
  if (filter !== 1) return check.ok('packets may come by another way than answers go');
  return check.note(
    'packets whose answer would go another way are dropped, as with several uplinks or Table = off',
    'sysctl -w net.ipv4.conf.all.rp_filter=2',
  );
}

function judgeKernelInterfaces(names: readonly string[]): Finding {
  if (names.length === 0)
    return about('kernel-wireguard', "kernel's WireGuard", 'no interface').ok('none that could be in the way');
  const shown = names.slice(0, 4).join(', ') + (names.length > 4 ? ', …' : '');
  return about('kernel-wireguard', "kernel's WireGuard", shown).note(
    'a tunnel with the same port or the same allowed IPs collides with it',
    'give each its own ListenPort and prefixes',
  );
}

function judgePort({ usualPortTaken, usualPortTunnels }: NetworkFacts): Finding {
  const title = `port ${USUAL_PORT}`;
  if (usualPortTaken === null) return about('usual-port', title, 'unknown').ok('the kernel does not tell');
  if (!usualPortTaken) return about('usual-port', title, 'free').ok("the port of most tunnels' files");
  if (usualPortTunnels.length > 0) return about('usual-port', title, usualPortTunnels.join(', ')).ok('held by gigatun');
  return about('usual-port', title, 'taken').note(
    'another program holds it: a tunnel with this ListenPort cannot start',
    `see who: ss -lunp 'sport = :${USUAL_PORT}'`,
  );
}
