/**
 * Without root: an end whose process has no capability at all and was given its descriptors by one that has, and a whole
 * tunnel of an ordinary user in a user namespace of its own.
 *
 *     a: 10.77.0.1, user 65534 --TUN (passed)--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2, root
 */
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readPrivileges } from '../../src/control/privilege-report.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { configureDevice, innerRoute, planPair, wireguardConfig } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { run } from '../../src/lab/process.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { openEnd } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { programPath } from '../support/tunnel-programs.ts';

const WAIT_MS = 10_000;
const NOBODY = 65_534;
/** Another user, without groups and without capabilities in any set. */
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const WITHOUT_RIGHTS = [...AS_NOBODY, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs'];

/** The only child of a process. */
function childOf(pid: number): number {
  const child = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  if (child > 0) return child;
  throw new Error(`expected one child of process ${pid}, got ${child}`);
}

tunnelSuite('without root', ['ping', 'wg', 'setpriv', 'unshare'], () => {
  it('a process without capabilities carries a tunnel over the descriptors that it was given', async () => {
    const lab = new Lab();
    const pair = planPair(lab);
    const { namespace, device } = pair.a;
    const directory = join(lab.directory, 'nobody');
    mkdirSync(directory, { mode: 0o700 });
    chownSync(directory, NOBODY, NOBODY);
    chmodSync(lab.directory, 0o711);
    const b = await openEnd(lab, pair.b, { program: 'gigatun', knowsEndpoint: false });
    const env = { GIGATUN_RUN_DIR: directory, LOG_LEVEL: 'info' };
    const socket = `/var/run/wireguard/${device}.sock`;
    const command = [...WITHOUT_RIGHTS, process.execPath, CLI, '-f', device];
    const passer = namespace.start([process.execPath, programPath('descriptor-passer'), device, socket, ...command], {
      env,
      timeoutMs: 60_000,
    });
    try {
      await passer.waitForOutput(/ info up /, WAIT_MS);
      const pid = childOf(passer.pid);
      for (const id of readdirSync(`/proc/${pid}/task`))
        expect(readPrivileges(readFileSync(`/proc/${pid}/task/${id}/status`, 'utf8'))).toEqual({
          capabilities: [],
          noNewPrivileges: true,
          userId: NOBODY,
        });
      const file = join(lab.directory, 'a.wg');
      writeFileSync(file, wireguardConfig(pair.a), { mode: 0o600 });
      namespace.runSync(['wg', 'setconf', device, file]);
      configureDevice(pair.a);
      await waitForEcho(innerRoute(pair, 4), WAIT_MS);
      expect(await transfer(innerRoute(pair, 4), 4_000_000, 'without rights')).toMatchObject({ intact: true });
      // A mark is beyond its rights, which is said; the tunnel goes on.
      const marked = await namespace.run(['wg', 'set', device, 'fwmark', '7'], { mayFail: true });
      expect(marked.code).not.toBe(0);
      await waitForEcho(innerRoute(pair, 4), WAIT_MS);
    } finally {
      process.kill(childOf(passer.pid), 'SIGTERM');
      const { code, stderr } = await passer.finished;
      // Its directory is root's, and the process may not write there.
      rmSync(socket, { force: true });
      expect(code, stderr).toBe(0);
      await b.end('SIGTERM');
      lab.close();
    }
  });

  it('an ordinary user has a whole tunnel in a user namespace, which drops what that gives', async () => {
    const directory = mkdtempSync(join(tmpdir(), `gigatun-lab-${process.pid}-`));
    chownSync(directory, NOBODY, NOBODY);
    const figures = join(directory, 'demo.json');
    const demo = [...AS_NOBODY, process.execPath, CLI, 'demo', '--seconds', '1', '--json', figures];
    try {
      await run(demo, { env: { TMPDIR: directory, HOME: directory }, timeoutMs: 50_000 });
      expect(JSON.stringify(JSON.parse(readFileSync(figures, 'utf8')))).toMatch(/"UDP_TX":[1-9]/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
