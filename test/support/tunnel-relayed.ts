/** A NAT and a stranger for a tunnel under test: both sit in a's namespace, between a and b. */
import type { Running } from '../../src/lab/process.ts';
import type { Tunnel } from './tunnel-end.ts';
import { programPath } from './tunnel-programs.ts';

const RELAY_PORT = 6_000;
const READY_MS = 5_000;
const LIFE_MS = 120_000;

export interface Relay extends AsyncDisposable {
  readonly program: Running;
}

/** Starts a NAT at a's outer address, port 6000, towards b; it records what a sends. SIGUSR2 makes it change its port. */
export async function startRelay({ lab, pair }: Tunnel): Promise<Relay> {
  const [own, other] = pair.link;
  const addresses = [own.address4, String(RELAY_PORT), other.address4, String(pair.b.listenPort)];
  const command = [process.execPath, programPath('tunnel-relay'), ...addresses, recordOf(lab)];
  const program = own.namespace.start(command, { timeoutMs: LIFE_MS });
  await program.waitForOutput(/ready/, READY_MS);
  await program.waitForOutput(/leaves from/, READY_MS);
  return {
    program,
    [Symbol.asyncDispose]: async () => {
      await program.stop();
    },
  };
}

/** `ADDRESS:PORT` from which the relay speaks to b now. */
export function relayedFrom(relay: Running): string | undefined {
  return relay.output.match(/(?<=leaves from )\S+/g)?.at(-1);
}

/**
 * Sends recorded datagrams ('replay') or junk ('junk', COUNT, SEED) from an address of a's namespace to b's port.
 * Returns how many were sent, by the drop reason that they call for.
 */
export async function shoot(
  { lab, pair }: Tunnel,
  kind: 'replay' | 'junk',
  source: string,
  ...rest: string[]
): Promise<Record<string, number>> {
  const [own, other] = pair.link;
  const target = [source, other.address4, String(pair.b.listenPort), recordOf(lab)];
  const command = [process.execPath, programPath('tunnel-shooter'), kind, ...target, ...rest];
  const { stdout } = await own.namespace.run(command, { timeoutMs: LIFE_MS });
  return JSON.parse(stdout) as Record<string, number>;
}

function recordOf({ directory }: Tunnel['lab']): string {
  return `${directory}/recorded`;
}
