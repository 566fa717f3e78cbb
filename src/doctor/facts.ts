/** All that the doctor knows of a machine, group by group. Made by `probe/`, judged by the file of each group. */
import type { AeadFacts } from './aead.ts';
import type { ClockFacts } from './clock.ts';
import type { CpuFacts } from './cpu.ts';
import type { NetworkFacts } from './network.ts';
import type { SystemFacts } from './system.ts';
import type { TunFacts } from './tun.ts';
import type { UdpFacts } from './udp.ts';

export interface MachineFacts {
  readonly system: SystemFacts;
  readonly tun: TunFacts;
  readonly udp: UdpFacts;
  readonly cpu: CpuFacts;
  readonly aead: AeadFacts;
  readonly clock: ClockFacts;
  readonly network: NetworkFacts;
}
