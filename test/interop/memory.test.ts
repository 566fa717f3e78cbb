/**
 * A tunnel under a memory cap: it runs and tells of it, and one that cannot fit does not start.
 *
 *     a (cap): 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, planPair, quickConfig, reverseRoute } from '../../src/lab/pair.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type EndOptions, expectGigatun, openTunnel, startGigatun } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const FILE_BYTES = 64 * 1024 * 1024;

function underCap(megabytes: number, lanes: number): EndOptions {
  return { lanes, edit: (config) => withCap(config, megabytes) };
}

function withCap(config: string, megabytes: number): string {
  return config.replace('[Interface]', `[Interface]\n#gigatun: Memory = ${megabytes}`);
}

tunnelSuite('a memory cap', ['ping'], () => {
  it('is told beside resident memory by a tunnel that runs under it', async () => {
    await using tunnel = await openTunnel({}, underCap(160, 1));
    const a = expectGigatun(tunnel.a);
    const files = await Promise.all([
      transfer(innerRoute(tunnel.pair, 4), FILE_BYTES, 'forth'),
      transfer(reverseRoute(tunnel.pair, 4), FILE_BYTES, 'back'),
    ]);
    for (const file of files) expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
    for (const told of [await a.status(), await a.snapshot()]) {
      expect(told).toMatchObject({ memoryCapBytes: 160e6, memoryCrossingsCount: 0 });
      expect(told.rssBytes).toBeGreaterThan(20e6);
      expect(told.rssBytes).toBeLessThan(160e6);
    }
    expect(await expectGigatun(tunnel.b).status()).toMatchObject({ memoryCapBytes: null });
  });

  it('from the command line goes before that of the file, and in the background limits the main heap, too', async () => {
    const lab = new Lab();
    const { namespace, device, ...plan } = planPair(lab).a;
    const file = join(lab.directory, `${device}.conf`);
    const options = { env: { GIGATUN_RUN_DIR: join(lab.directory, 'run') } };
    const gigatun = (...args: string[]): Promise<{ stdout: string }> =>
      namespace.run([process.execPath, CLI, ...args], options);
    writeFileSync(file, withCap(quickConfig({ namespace, device, ...plan }), 400), { mode: 0o600 });
    try {
      await gigatun('up', '--memory', '150', '--lanes', 'auto', file);
      const { memoryCapBytes, pid } = JSON.parse((await gigatun('show', device, '--json')).stdout);
      expect(memoryCapBytes).toBe(150e6);
      expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toMatch(/--max-old-space-size=\d+/);
      expect((await gigatun('show', device)).stdout).toMatch(/memory: \d+\.\d MB resident of 150 MB allowed/);
      expect((await gigatun('stats', device)).stdout).toMatch(/ MB resident of 150.00 MB allowed/);
    } finally {
      await gigatun('down', device);
      lab.close();
    }
  });

  it('that has no room for the lanes is refused, with what would fit', async () => {
    const lab = new Lab();
    try {
      const end = startGigatun(lab, planPair(lab).a, underCap(100, 8));
      const { code } = await end.program.finished;
      expect(end.program.output).toMatch(/expected a memory cap of at least \d+ MB for 8 lanes and 1 peer, got 100 MB/);
      expect(code).toBe(2);
    } finally {
      lab.close();
    }
  });
});
