/** The verb `harden` in a process of its own, for nobody gets rights back. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readPrivileges } from '../../src/control/privilege-report.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { run } from '../../src/lab/process.ts';
import { harden } from '../../src/native/addon.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const CHILD = fileURLToPath(new URL('./harden-child.mjs', import.meta.url));
const MOVED = fileURLToPath(new URL('./moved-tun-child.mjs', import.meta.url));
const NET_ADMIN = 12;
const mine = readPrivileges(readFileSync('/proc/self/status', 'utf8'));

interface Said {
  readonly limited: number;
  readonly statuses: readonly string[];
  readonly child: string;
}

async function hardened(keep: number): Promise<Said> {
  const { stdout } = await run([process.execPath, CHILD, String(keep)]);
  return JSON.parse(stdout) as Said;
}

describe('harden', () => {
  it.for([
    [2 ** NET_ADMIN, mine.capabilities.filter((name) => name === 'cap_net_admin')],
    [0, []],
  ] as const)('leaves every thread %d, also those that come later, and what they execute', async ([keep, names]) => {
    const { limited, statuses, child } = await hardened(keep);
    expect(limited).toBeGreaterThan(5);
    expect(statuses.length).toBeGreaterThan(limited);
    for (const status of [...statuses, child])
      expect(readPrivileges(status)).toMatchObject({ capabilities: names, noNewPrivileges: true });
  });

  it('forbids core dumps, to programs that are executed too, and alone leaves capabilities as they are', async () => {
    const { limited, statuses, child } = await hardened(-1);
    expect(limited).toBe(0);
    expect(child).toMatch(/^Max core file size\s+0\s+0\s/m);
    for (const status of statuses) expect(readPrivileges(status)).toEqual(mine);
  });

  it('takes no set that is no set', () => {
    for (const wrong of [-2, 0.5, 2 ** 53, Number.NaN]) expect(() => harden(wrong)).toThrow(RangeError);
    for (const wrong of ['1', null, undefined]) expect(() => harden(wrong as unknown as number)).toThrow(TypeError);
  });
});

tunnelSuite('a TUN that was moved to another namespace', [], () => {
  it('is read there, also when that may no longer be entered', async () => {
    const lab = new Lab();
    try {
      const [here, there] = [lab.addNamespace('here'), lab.addNamespace('there')];
      const { stdout } = await here.run([process.execPath, MOVED, there.name]);
      const { entered, asked, refused } = JSON.parse(stdout);
      expect(entered).toMatchObject({ mtu: 1_333, txQueueLength: 77, up: true });
      expect(asked).toEqual(entered);
      expect(refused).toBe('EPERM');
    } finally {
      lab.close();
    }
  });
});
