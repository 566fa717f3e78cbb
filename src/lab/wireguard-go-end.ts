/** One end of a tunnel run by the wireguard-go that is installed, configured with `wg`. */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './namespaces.ts';
import { configureDevice, type EndPlan, type TunnelEnd, wireguardConfig } from './pair.ts';
import type { Running } from './process.ts';

const READY_MS = 5_000;

/** Starts wireguard-go in the foreground and configures it. Throws with its log when it fails. */
export async function openWireguardGo(lab: Lab, plan: EndPlan): Promise<WireguardGoEnd> {
  const env = { WG_PROCESS_FOREGROUND: '1', LOG_LEVEL: 'error' };
  const program = plan.namespace.start(['wireguard-go', '-f', plan.device], {
    env,
    timeoutMs: Number.POSITIVE_INFINITY,
  });
  const end = new WireguardGoEnd(plan, program);
  await program.waitUntil(() => existsSync(socketOf(plan)), READY_MS, 'open its configuration socket');
  const file = join(lab.directory, `${plan.device}.wg`);
  writeFileSync(file, wireguardConfig(plan), { mode: 0o600 });
  await plan.namespace.run(['wg', 'setconf', plan.device, file]);
  configureDevice(plan);
  return end;
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
