/** The demo as a user runs it: its output, its file, and that nothing stays, also when it is interrupted. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { DemoReport } from '../../src/lab/demo-report.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { readStats } from '../../src/lab/gigatun-stats.ts';
import { listNamespaces } from '../../src/lab/namespaces.ts';
import { isAlive, run, start } from '../../src/lab/process.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

tunnelSuite('the demo', ['iperf3', 'ping'], () => {
  /** Also the directory of its temporary files, so that what stays is seen. */
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'gigatun-demo-test-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));
  const demo = (...args: string[]) => [process.execPath, CLI, 'demo', '--seconds', '1', ...args];
  const env = () => ({ TMPDIR: directory });

  it('carries TCP each way, prints both tables and the answer, and writes all figures', async () => {
    const file = join(directory, 'demo.json');
    const { stdout } = await run(demo('--json', file), { env: env() });
    expect(stdout).toMatch(/a to b, one stream +\d+\.\d\d Gbit\/s/);
    expect(stdout).toMatch(/b to a, one stream +\d+\.\d\d Gbit\/s/);
    expect(stdout.match(/KERN_WRITE_TUN per TUN_TX: +\d/g)).toHaveLength(2);
    expect(stdout).toMatch(
      /1 Gbit\/s in userspace\? (Yes|Not here and now): \d.* the dearest activity is [A-Z_]+ with \d+ %/,
    );
    const report = JSON.parse(readFileSync(file, 'utf8')) as DemoReport;
    for (const cost of [report.tcp.aToB, report.tcp.bToA]) expect(cost?.bytes).toBeGreaterThan(1e6);
    const [a, b] = report.ends.map((end) => readStats(end.stats));
    expect(a?.counts.UDP_TX).toBeGreaterThan(1_000);
    expect(b?.counts.UDP_RX_UNIQ).toBeGreaterThan(1_000);
    rmSync(file);
    expectNothingLeft(directory);
  });

  it('works with IPv6 inside and two lanes', async () => {
    const { stdout } = await run(demo('--ipv6', '--lanes', '2'), { env: env() });
    expect(stdout).toMatch(/TCP over IPv6, a to b/);
    expect(stdout).toMatch(/with 2 lanes at each end/);
    expectNothingLeft(directory);
  });

  it('leaves nothing when it is interrupted', async () => {
    const demonstration = start(demo('--seconds', '20'), { env: env() });
    await demonstration.waitForOutput(/a to b, one stream …/, 20_000);
    expect(readdirSync(directory)).toHaveLength(1);
    const children = childrenOf(demonstration.pid);
    expect(children.length).toBeGreaterThanOrEqual(2);
    demonstration.signal('SIGINT');
    const { signal, stdout } = await demonstration.finished;
    expect(signal).toBe('SIGINT');
    expect(stdout).toContain('Interrupted. Namespaces, interfaces and programs are gone.');
    expect(children.filter(isAlive)).toEqual([]);
    expect(listNamespaces().filter((name) => name.startsWith(`gt-${demonstration.pid}-`))).toEqual([]);
    expectNothingLeft(directory);
  });

  it('runs in a user namespace where the capabilities are missing', async () => {
    const without = ['setpriv', '--bounding-set', '-net_admin,-sys_admin', '--inh-caps', '-net_admin,-sys_admin'];
    const { stdout } = await run([...without, ...demo()], { env: env() });
    expect(stdout).toMatch(/1 Gbit\/s in userspace\?/);
    expectNothingLeft(directory);
  });
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
}

function expectNothingLeft(directory: string): void {
  expect(readdirSync(directory).filter((name) => name.startsWith('gigatun-lab-'))).toEqual([]);
}
