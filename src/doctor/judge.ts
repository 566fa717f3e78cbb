/** All checks in the order of reports: which function judges which facts. A new check is a new finding of one of these. */
import { judgeAead } from './aead.ts';
import { type Check, type Finding, GROUPS, type Group } from './check.ts';
import { judgeClock } from './clock.ts';
import { judgeCpu } from './cpu.ts';
import type { MachineFacts } from './facts.ts';
import { judgeNetwork } from './network.ts';
import { judgeSystem } from './system.ts';
import { judgeTun } from './tun.ts';
import type { TunnelFacts } from './tunnel-facts.ts';
import { judgeLoss } from './tunnel-loss.ts';
import { judgePath } from './tunnel-path.ts';
import { judgeUse } from './tunnel-use.ts';
import { judgeUdp } from './udp.ts';

const MACHINE: Readonly<Record<Exclude<Group, 'tunnel'>, (facts: MachineFacts) => Finding[]>> = {
  system: ({ system }) => judgeSystem(system),
  tun: ({ tun }) => judgeTun(tun),
  udp: ({ udp }) => judgeUdp(udp),
  cpu: ({ cpu }) => judgeCpu(cpu),
  aead: ({ aead }) => judgeAead(aead),
  clock: ({ clock }) => judgeClock(clock),
  network: ({ network }) => judgeNetwork(network),
};

export function judgeMachine(facts: MachineFacts): Check[] {
  return GROUPS.flatMap((group) =>
    group === 'tunnel' ? [] : MACHINE[group](facts).map((finding) => ({ ...finding, group, interface: null })),
  );
}

export function judgeTunnel(tunnel: TunnelFacts, machine: MachineFacts): Check[] {
  const findings = [...judgeUse(tunnel, machine), ...judgeLoss(tunnel), ...judgePath(tunnel)];
  return findings.map((finding) => tunnelCheck(tunnel.name, finding));
}

export function tunnelCheck(name: string, finding: Finding): Check {
  return { ...finding, group: 'tunnel', interface: name };
}
