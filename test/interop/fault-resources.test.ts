/**
 * A machine that has run out of something: room on the disk of the run directory, inodes, descriptors. A start says so and
 * leaves nothing behind; a tunnel that runs goes on, and is taken down completely.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, planPair, quickConfig } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { type Finished, run, runSync } from '../../src/lab/process.ts';
import { expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { namespaceState, settleDevice } from '../support/tunnel-state.ts';

const WAIT_MS = 10_000;
const BLOCK_BYTES = 4_096;

/** One end without the other, whose run directory is a file system of its own. */
class SmallDisk implements AsyncDisposable {
  readonly lab: Lab = new Lab();
  readonly pair: Pair = planPair(this.lab);
  readonly directory: string = join(this.lab.directory, 'run');
  readonly file: string = join(this.lab.directory, `${this.pair.a.device}.conf`);

  constructor(options: string) {
    settleDevice(this.pair.a.namespace, this.pair.link[0].device);
    mkdirSync(this.directory);
    runSync(['mount', '-t', 'tmpfs', '-o', `mode=0700,${options}`, 'tmpfs', this.directory]);
    const everything = quickConfig(this.pair.a).replace(/^AllowedIPs = .*$/m, 'AllowedIPs = 0.0.0.0/0, ::/0');
    writeFileSync(this.file, everything, { mode: 0o600 });
  }

  fill(): void {
    try {
      for (let at = 0; ; at += 1) writeFileSync(join(this.directory, `fill${at}`), Buffer.alloc(BLOCK_BYTES));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
    }
  }

  /** Without what fills it. */
  files(): string[] {
    return readdirSync(this.directory).filter((file) => !file.startsWith('fill'));
  }

  state(): string {
    return namespaceState(this.pair.a.namespace);
  }

  async gigatun(...args: string[]): Promise<Finished> {
    const env = { GIGATUN_RUN_DIR: this.directory };
    return await this.pair.a.namespace.run([process.execPath, CLI, ...args], { env, mayFail: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gigatun('down', this.pair.a.device);
    runSync(['umount', this.directory]);
    this.lab.close();
  }
}

tunnelSuite('a full disk', ['nft'], () => {
  it('refuses a start that cannot write its journal, in words, and nothing is left', async () => {
    await using disk = new SmallDisk('size=8k');
    const before = disk.state();
    disk.fill();
    const { code, stderr } = await disk.gigatun('up', '--foreground', disk.file);
    expect(code).toBe(1);
    expect(stderr).toMatch(/\.undo.*ENOSPC/);
    expect(disk.state()).toBe(before);
    expect(disk.files()).toEqual([]);
  });

  it('refuses a start that cannot make its socket, in words, and nothing is left', async () => {
    await using disk = new SmallDisk('nr_inodes=1');
    const before = disk.state();
    const { code, stderr } = await disk.gigatun('up', '--foreground', disk.file);
    expect(code).toBe(1);
    expect(stderr).toMatch(/ENOSPC/);
    expect(disk.state()).toBe(before);
    expect(disk.files()).toEqual([]);
  });

  it('that fills up under a tunnel in the background does not keep it from being taken down', async () => {
    await using disk = new SmallDisk('size=64k');
    const before = disk.state();
    expect((await disk.gigatun('up', disk.file)).code).toBe(0);
    disk.fill();
    expect((await disk.gigatun('show', disk.pair.a.device)).stdout).toContain(disk.pair.a.device);
    expect((await disk.gigatun('down', disk.pair.a.device)).code).toBe(0);
    expect(disk.state()).toBe(before);
    expect(disk.files()).toEqual([`${disk.pair.a.device}.log`]);
  });
});

tunnelSuite('descriptors', ['ping', 'prlimit', 'nft'], () => {
  it('that run out in a start, wherever, end it in words, and nothing is left', async () => {
    await using disk = new SmallDisk('size=1m');
    const before = disk.state();
    const env = { GIGATUN_RUN_DIR: disk.directory };
    const codes: (number | null)[] = [];
    // Node itself takes about 20; from some number on the start succeeds, and that is the end of it.
    for (let limit = 24; codes.at(-1) !== 0; limit += 8) {
      expect(limit).toBeLessThan(120);
      const few = [
        'prlimit',
        `--nofile=${limit}`,
        process.execPath,
        CLI,
        'up',
        '--foreground',
        '--lanes',
        '2',
        disk.file,
      ];
      const program = disk.pair.a.namespace.start(few, { env, timeoutMs: WAIT_MS });
      await Promise.race([program.finished, program.waitForOutput(/ info up /, WAIT_MS).catch(() => undefined)]);
      const isUp = !program.ended;
      const { code, stderr } = await program.stop();
      codes.push(isUp ? 0 : code);
      if (!isUp) expect(stderr).toMatch(/EMFILE|too many open files/i);
      expect(disk.state(), `with ${limit} descriptors`).toBe(before);
      expect(disk.files()).toEqual([]);
    }
    expect(codes).toContain(1);
  });

  it('that run out later fail those who ask, not those who send; more of them mend it', async () => {
    await using tunnel = await openTunnel();
    const { a, pair } = tunnel;
    const route = innerRoute(pair, 4);
    await waitForEcho(route, WAIT_MS);
    const limit = (count: number) => runSync(['prlimit', `--pid=${a.program.pid}`, `--nofile=${count}`]);
    const [, soft = ''] = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${a.program.pid}/limits`, 'utf8')) ?? [];
    runSync([
      'prlimit',
      `--pid=${a.program.pid}`,
      `--nofile=${readdirSync(`/proc/${a.program.pid}/fd`).length}:${soft}`,
    ]);
    await expect(expectGigatun(a).status()).rejects.toThrow();
    await waitForEcho(route, WAIT_MS);
    limit(Number(soft));
    expect(await expectGigatun(a).status()).toMatchObject({ interface: pair.a.device });
    await waitForEcho(route, WAIT_MS);
    expect(await run(['true'])).toMatchObject({ code: 0 });
  });
});
