/** The whole of `gigatun bench` on a small job: figures, costs, and nothing left behind, also when it is interrupted. */
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { BenchResult } from '../../../src/lab/bench/result.ts';
import { CLI } from '../../../src/lab/gigatun-end.ts';
import { listNamespaces } from '../../../src/lab/namespaces.ts';
import { type Running, start } from '../../../src/lab/process.ts';
import { tunnelSuite } from '../../support/tunnel-needs.ts';

const READY_MS = 30_000;

function bench(...args: string[]): Running {
  return start([process.execPath, CLI, 'bench', ...args], { timeoutMs: 60_000 });
}

function namespacesOf({ pid }: Running): string[] {
  return listNamespaces().filter((name) => name.includes(`gt-${pid}-`));
}

tunnelSuite('gigatun bench', [], () => {
  it('measures, and reads the books around each load', async () => {
    expect(existsSync(CLI)).toBe(true);
    const running = bench('--quick', '--json', '--only', 'gigatun,gigatun-no-udp-gso', '--tests', 'udpgso');
    const { code, stdout } = await running.finished;
    const result = JSON.parse(stdout) as BenchResult;
    expect({ code, failures: result.failures }).toEqual({ code: 0, failures: [] });
    for (const name of ['gigatun', 'gigatun-no-udp-gso'] as const) {
      expect(result.figures.udpgso?.[name]?.gigabitsPerSecond?.median).toBeGreaterThan(0);
      expect(result.costs.udpgso?.[name]?.counts.UDP_TX).toBeGreaterThan(0);
      expect(result.costs.udpgso?.[name]?.onCoreNs.USER_ENCRYPT).toBeGreaterThan(0);
    }
    const groups = (name: 'gigatun' | 'gigatun-no-udp-gso') => {
      const counts = result.costs.udpgso?.[name]?.counts ?? {};
      return (counts.UDP_TX ?? 0) / (counts.UDP_SEND_GROUPS ?? 1);
    };
    expect(groups('gigatun')).toBeGreaterThan(2);
    expect(groups('gigatun-no-udp-gso')).toBe(1);
    expect(namespacesOf(running)).toEqual([]);
  });

  it('that is interrupted leaves no namespace, and says so', async () => {
    const running = bench('--quick', '--only', 'gigatun', '--tests', 'udpgso');
    await running.waitForOutput(/ready: gigatun/, READY_MS);
    expect(namespacesOf(running)).toHaveLength(2);
    running.signal('SIGINT');
    const { signal, stderr } = await running.finished;
    expect(signal).toBe('SIGINT');
    expect(stderr).toContain('Interrupted.');
    expect(namespacesOf(running)).toEqual([]);
  });
});
