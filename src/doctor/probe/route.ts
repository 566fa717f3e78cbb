/** The way to an address, as `ip` of one network namespace tells it: the MTU of the route, else of its interface. */
import type { RunCommand } from '../../control/command.ts';

/**
 * Asks for the MTU of the way to an address; null when no way leads there.
 *
 * @param address may have a zone: fe80::1%eth0.
 * @param mark of the tunnel's datagrams, 0 for none.
 * @throws GigatunError as `run` does, when `ip` is missing.
 */
export async function routeMtu(run: RunCommand, address: string, mark: number): Promise<number | null> {
  const [numeric = '', zone] = address.split('%');
  const through = zone === undefined ? [] : ['oif', zone];
  const marked = mark === 0 ? [] : ['mark', String(mark)];
  const route = await run({ program: 'ip', args: ['-o', 'route', 'get', numeric, ...through, ...marked] });
  if (route.status !== 0) return null;
  const device = /\bdev ([^\s/]+)/.exec(route.stdout)?.[1];
  return mtuIn(route.stdout) ?? (device === undefined ? null : await deviceMtu(run, device));
}

async function deviceMtu(run: RunCommand, device: string): Promise<number | null> {
  const { status, stdout } = await run({ program: 'ip', args: ['-o', 'link', 'show', 'dev', device] });
  return status === 0 ? mtuIn(stdout) : null;
}

/** A route's own may be locked against discovery. */
function mtuIn(text: string): number | null {
  const mtu = /\bmtu (?:lock )?(\d{1,7})\b/.exec(text)?.[1];
  return mtu === undefined ? null : Number(mtu);
}
