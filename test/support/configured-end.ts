/** Ends that `wg` configures, and configures anew while they run: `gigatun -f IFACE`, and wireguard-go as the measure. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../../src/control/control-server.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import {
  configureDevice,
  type EndPlan,
  type Pair,
  type PairOptions,
  planPair,
  wireguardConfig,
} from '../../src/lab/pair.ts';
import type { Running } from '../../src/lab/process.ts';

const READY_MS = 10_000;
export type ConfiguredProgram = 'gigatun' | 'wireguard-go';
const PROGRAMS: Readonly<Record<ConfiguredProgram, readonly string[]>> = {
  gigatun: [process.execPath, CLI, '-f'],
  'wireguard-go': ['wireguard-go', '-f'],
};

export class ConfiguredEnd {
  readonly plan: EndPlan;
  readonly #program: Running;
  readonly #directory: string;

  /** Brings it up, with the plan's configuration. */
  static async open(lab: Lab, plan: EndPlan, name: ConfiguredProgram): Promise<ConfiguredEnd> {
    const { namespace, device } = plan;
    const env = { LOG_LEVEL: 'error', GIGATUN_RUN_DIR: lab.directory };
    const program = namespace.start([...PROGRAMS[name], device], { env, timeoutMs: Number.POSITIVE_INFINITY });
    const end = new ConfiguredEnd(plan, program, lab.directory);
    try {
      // Not by `wg`, which removes a socket that does not answer yet.
      let serves = false;
      const probe = setInterval(async () => {
        serves ||= await isAlive(`/var/run/wireguard/${device}.sock`);
      }, 20);
      await program.waitUntil(() => serves, READY_MS, 'serve its socket').finally(() => clearInterval(probe));
      namespace.runSync(['wg', 'setconf', device, end.#file('conf', wireguardConfig(plan))]);
      configureDevice(plan);
      return end;
    } catch (error) {
      await end.close();
      throw error;
    }
  }

  private constructor(plan: EndPlan, program: Running, directory: string) {
    this.plan = plan;
    this.#program = program;
    this.#directory = directory;
  }

  /** `wg set IFACE …`. A key (base64) stands for the file that `wg` reads it from. */
  set(...words: readonly (string | { readonly key: string })[]): void {
    const { namespace, device } = this.plan;
    const texts = words.map((word) => (typeof word === 'string' ? word : this.#file('key', word.key)));
    namespace.runSync(['wg', 'set', device, ...texts]);
    rmSync(join(this.#directory, `${device}.key`), { force: true });
  }

  /** One figure of `wg show IFACE`: the words of its lines. */
  show(figure: string): string[] {
    const { namespace, device } = this.plan;
    return namespace.runSync(['wg', 'show', device, figure]).trim().split(/\s+/);
  }

  async close(): Promise<void> {
    await this.#program.stop();
  }

  #file(kind: string, content: string): string {
    const path = join(this.#directory, `${this.plan.device}.${kind}`);
    writeFileSync(path, `${content}\n`, { mode: 0o600 });
    return path;
  }
}

export interface ConfiguredTunnel extends AsyncDisposable {
  readonly pair: Pair;
  readonly a: ConfiguredEnd;
  readonly b: ConfiguredEnd;
}

/** a is gigatun's. */
export async function openConfigured(b: ConfiguredProgram, options: PairOptions = {}): Promise<ConfiguredTunnel> {
  const lab = new Lab();
  const ends: ConfiguredEnd[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ends.splice(0).map((end) => end.close()));
    lab.close();
  };
  try {
    const pair = planPair(lab, options);
    ends.push(await ConfiguredEnd.open(lab, pair.a, 'gigatun'), await ConfiguredEnd.open(lab, pair.b, b));
    const [first, second] = ends as [ConfiguredEnd, ConfiguredEnd];
    return { pair, a: first, b: second, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}
