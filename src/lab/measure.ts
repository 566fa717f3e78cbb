/** What a tunnel costs while a load runs through it: CPU time of its processes, per byte of payload that arrived. */
import { type Route, runTcp, type TcpLoad, type TcpResult } from './iperf.ts';
import { usageOfAll } from './usage.ts';

export interface TcpCost extends TcpResult {
  /** CPU time of all the tunnel's processes while the load ran, seconds. */
  readonly cpuSeconds: number;
  /** The same per 10^9 bytes of payload; 0 for a path without tunnel processes. */
  readonly cpuSecondsPerGb: number;
}

/** Runs a TCP load and takes the usage of the tunnel's processes before and after. */
export async function measureTcp(route: Route, load: TcpLoad, tunnelPids: readonly number[]): Promise<TcpCost> {
  const before = usageOfAll(tunnelPids).cpuSeconds;
  const result = await runTcp(route, load);
  const cpuSeconds = usageOfAll(tunnelPids).cpuSeconds - before;
  return { ...result, cpuSeconds, cpuSecondsPerGb: cpuSeconds / (result.bytes / 1e9) };
}
