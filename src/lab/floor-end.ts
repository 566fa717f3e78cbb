/** One end of a tunnel run by the measuring rod of bench/floor: fixed keys, the least work. */
import { GigatunError } from '../errors.ts';
import { configureDevice, type EndPlan, type TunnelEnd } from './pair.ts';
import type { Running } from './process.ts';

const READY_MS = 3_000;

export interface FloorOptions {
  /** The built program. */
  readonly program: string;
  readonly cipher: 'chacha20-poly1305' | 'aes-256-gcm';
}

/** Starts the rod and configures its interface. IPv4 outside only. Throws with its log when it fails. */
export async function openFloor(plan: EndPlan, outerAddress: string, options: FloorOptions): Promise<TunnelEnd> {
  const [remote, port] = plan.peer.endpoint.split(':');
  if (remote === undefined || port === undefined || remote === '') {
    throw new GigatunError('CONFIG', `the rod needs an IPv4 endpoint, got ${plan.peer.endpoint}`);
  }
  const command = [options.program, plan.device, outerAddress, remote, port];
  const env = { FLOOR_CIPHER: options.cipher };
  const program = plan.namespace.start(command, { env, timeoutMs: Number.POSITIVE_INFINITY });
  await program.waitUntil(() => plan.namespace.hasDevice(plan.device), READY_MS, 'make its interface');
  configureDevice(plan);
  return floorEnd(plan, program);
}

function floorEnd(plan: EndPlan, program: Running): TunnelEnd {
  return {
    plan,
    pid: program.pid,
    log: () => program.output,
    close: async () => void (await program.stop()),
  };
}
