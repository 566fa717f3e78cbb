/**
 * Clocks that jump. After a suspend the other end's keypairs are gone, and ours must be too, though CLOCK_MONOTONIC, by which
 * all timers run, has stood still.
 *
 *     a: 10.77.0.1, "sleeps" an hour --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * That steps of CLOCK_REALTIME stop no handshake is shown by test/simulation/trouble.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type End, expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { programPath } from '../support/tunnel-programs.ts';

const WAIT_MS = 10_000;

async function handshakeMessages(end: End): Promise<number> {
  return (await expectGigatun(end).snapshot()).total.counts.HANDSHAKE_TX;
}

tunnelSuite('clocks that jump', ['ping'], () => {
  it('a suspend of an hour gives up all sessions, and the next packet starts a new one', async () => {
    const directory = mkdtempSync(join(tmpdir(), `gigatun-lab-${process.pid}-`));
    const flag = join(directory, 'sleep');
    const asleep = { nodeArguments: ['--import', programPath('tunnel-sleep')], env: { GIGATUN_TEST_SLEEP: flag } };
    await using tunnel = await openTunnel({}, asleep);
    const { a, pair } = tunnel;
    const route = innerRoute(pair, 4);
    await waitForEcho(route, WAIT_MS);
    expect(await handshakeMessages(a)).toBe(1);

    writeFileSync(flag, '');
    await a.program.waitForOutput(/the machine was suspended.*seconds=3600/, WAIT_MS);
    await waitForEcho(route, WAIT_MS);
    expect(await handshakeMessages(a)).toBe(2);
    expect(await transfer(route, 1_000_000, 'after the suspend')).toMatchObject({ intact: true });
    rmSync(directory, { recursive: true });
  });
});
