/** One end of a tunnel run by the wireguard-go that is installed, configured with `wg`. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../control/control-server.ts';
import type { Lab } from './namespaces.ts';
import { configureDevice, type EndPlan, type TunnelEnd, wireguardConfig } from './pair.ts';
import type { Running } from './process.ts';

const READY_MS = 5_000;
const PROBE_MS = 20;

/** Starts wireguard-go in the foreground and configures it. Throws with its log when it fails. */
export async function openWireguardGo(lab: Lab, plan: EndPlan): Promise<WireguardGoEnd> {
  const env = { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' };
  const program = plan.namespace.start(['wireguard-go', '-f', plan.device], {
    env,
    timeoutMs: Number.POSITIVE_INFINITY,
  });
  const end = new WireguardGoEnd(plan, program);
  await serving(program, plan);
  const file = join(lab.directory, `${plan.device}.wg`);
  writeFileSync(file, wireguardConfig(plan), { mode: 0o600 });
  await plan.namespace.run(['wg', 'setconf', plan.device, file]);
  configureDevice(plan);
  return end;
}

/** Not asked by `wg`, which removes a socket that does not answer yet. */
async function serving(program: Running, plan: EndPlan): Promise<void> {
  let serves = false;
  const probe = setInterval(async () => {
    serves ||= await isAlive(socketOf(plan));
  }, PROBE_MS);
  await program.waitUntil(() => serves, READY_MS, 'serve its configuration socket').finally(() => clearInterval(probe));
}

function socketOf(plan: EndPlan): string {
  return `/var/run/wireguard/${plan.device}.sock`;
}

export class WireguardGoEnd implements TunnelEnd {
  readonly plan: EndPlan;
  readonly pid: number;
  readonly #program: Running;

  constructor(plan: EndPlan, program: Running) {
    this.plan = plan;
    this.pid = program.pid;
    this.#program = program;
  }

  log(): string {
    return this.#program.output;
  }

  /** One figure of `wg show`, such as 'latest-handshakes': lines of tab-separated fields. */
  async show(figure: string): Promise<string> {
    const { stdout } = await this.plan.namespace.run(['wg', 'show', this.plan.device, figure]);
    return stdout;
  }

  async close(): Promise<void> {
    await this.#program.stop();
    rmSync(socketOf(this.plan), { force: true });
  }
}
