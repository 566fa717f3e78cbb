/** Cleaning up after a killed gigatun: all of it, only when it is dead, and nobody comes in between. */
import { existsSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { CommandResult } from '../../src/control/command.ts';
import { ControlClient } from '../../src/control/control-client.ts';
import { type ControlHandlers, openControlServer } from '../../src/control/control-server.ts';
import { type RecoveryRequest, recoverTunnel } from '../../src/control/recovery.ts';
import { journalPath, socketPath, startingSocketPath } from '../../src/control/run-directory.ts';
import { fakeRunner, keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';

const UNDO = { kind: 'run', command: { program: 'ip', args: ['rule', 'delete', 'table', '7'] } };
const one = (): number => 1;
const HANDLERS: ControlHandlers = { status: one, stats: one, reload: one, difference: one, version: one, down: one };

interface Stage extends RecoveryRequest {
  readonly commands: readonly string[];
}

function stage(answer: () => Partial<CommandResult> | null = () => null): Stage {
  return { name: 'wg0', directory: temporaryDirectory(), ...fakeRunner(answer), log: keptLog().log };
}

function leaveJournal({ directory, name }: Stage): void {
  writeFileSync(journalPath(directory, name), JSON.stringify([UNDO]));
}

/** A socket file that nobody listens on any more. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
  expect(existsSync(path)).toBe(true);
}

describe('recovery', () => {
  it('finds nothing where nothing is', async () => {
    const all = stage();
    expect(await recoverTunnel(all)).toBe(false);
    expect(await recoverTunnel({ ...all, directory: `${all.directory}/none` })).toBe(false);
    expect(existsSync(`${all.directory}/none`)).toBe(false);
  });

  it.each<[string, (all: Stage) => void | Promise<void>, number]>([
    ['a journal', leaveJournal, 1],
    ['a socket', (all) => leaveSocket(socketPath(all.directory, 'wg0')), 0],
    ['the socket of a start', (all) => leaveSocket(startingSocketPath(all.directory, 'wg0')), 0],
  ])('removes %s', async (_, leave, count) => {
    const all = stage();
    await leave(all);
    expect(await recoverTunnel(all)).toBe(true);
    expect(all.commands).toHaveLength(count);
    expect(readdirSync(all.directory)).toEqual([]);
  });

  it.each([socketPath, startingSocketPath])('leaves a live one alone (%o)', async (pathOf) => {
    const all = stage();
    leaveJournal(all);
    const server = await openControlServer(pathOf(all.directory, 'wg0'), HANDLERS, all.log);
    onTestFinished(() => server.close());
    expect(await rejectionOf(recoverTunnel(all))).toMatchObject({ code: 'BUSY' });
    expect(all.commands).toEqual([]);
    (await ControlClient.connectEarly(all.directory, 'wg0')).close();
    expect(existsSync(journalPath(all.directory, 'wg0'))).toBe(true);
  });

  it('keeps a start, and a second down, out until it is done', async () => {
    const all = stage();
    leaveJournal(all);
    const seen: unknown[] = [];
    const run: Stage['run'] = async () => {
      const path = startingSocketPath(all.directory, 'wg0');
      seen.push(await rejectionOf(openControlServer(path, HANDLERS, all.log)));
      const client = await ControlClient.connectEarly(all.directory, 'wg0');
      seen.push(await rejectionOf(client.call('down')));
      client.close();
      return { status: 0, stdout: '', stderr: '' };
    };
    expect(await recoverTunnel({ ...all, run })).toBe(true);
    expect(seen).toMatchObject([{ code: 'BUSY' }, { code: 'BUSY' }]);
  });

  it('keeps what it cannot undo, and says so', async () => {
    const all = stage(() => ({ status: 2, stderr: 'refused' }));
    leaveJournal(all);
    await leaveSocket(socketPath(all.directory, 'wg0'));
    expect(await rejectionOf(recoverTunnel(all))).toMatchObject({
      code: 'SYSTEM',
      message: expect.stringContaining('ip rule delete table 7 failed: refused'),
    });
    expect(readdirSync(all.directory)).toEqual(['wg0.undo']);
  });
});
