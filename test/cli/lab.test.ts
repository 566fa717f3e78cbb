/** `gigatun lab` as a process: its options, its figures, its end. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { EmulatorFigures } from '../../src/lab/emulator/emulator.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { temporaryDirectory } from '../control/support/fakes.ts';

const PATIENCE = { timeout: 20_000, interval: 50 };
const built = existsSync(CLI);
const reason = built ? '' : ', skipped because dist/ is not built (npm run build)';

describe.skipIf(!built)(`gigatun lab${reason}`, () => {
  it('relays, is cut and mended by signals, and says at its end what it did', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const plan = join(temporaryDirectory(), 'plan.json');
    writeFileSync(plan, '{"toClient": {"delayMs": 1}}');
    const port = await freePort();
    const target = `127.0.0.1:${socket.address().port}`;
    const program = start(['--listen', `${port}`, '--to', target, '--json', '--plan', plan, '--seconds', '60']);
    await once(program.stderr ?? program, 'data');
    const came: string[] = [];
    socket.on('message', (message) => came.push(String(message)));
    const client = createSocket('udp4');
    /** Again and again: a signal takes its time. */
    const arrives = async (word: string): Promise<void> => {
      await expect
        .poll(() => {
          client.send(word, port, '127.0.0.1');
          return came.includes(word);
        }, PATIENCE)
        .toBe(true);
    };
    await arrives('first');
    program.kill('SIGUSR1');
    let sent = 0;
    await expect
      .poll(async () => {
        sent += 1;
        client.send(`cut ${sent}`, port, '127.0.0.1');
        await setTimeout(200);
        return came.includes(`cut ${sent}`);
      }, PATIENCE)
      .toBe(false);
    program.kill('SIGUSR2');
    await arrives('second');
    client.close();
    const output = text(program.stdout ?? process.stdin);
    program.kill('SIGTERM');
    const figures = JSON.parse(await output) as EmulatorFigures;
    expect(figures).toMatchObject({ toTarget: { lostRandom: 0 }, toClient: { passed: 0 }, refused: 0 });
    expect(figures.toTarget.passed).toBeGreaterThanOrEqual(came.length);
    expect(program.exitCode ?? (await once(program, 'exit'))[0]).toBe(0);
    socket.close();
  });

  it.each([
    [['--to', '127.0.0.1:9'], /--listen/],
    [['--listen', '6000', '--to', '127.0.0.1'], /HOST:PORT/],
    [['--listen', '6000', '--to', '127.0.0.1:9', '--loss', '101%'], /a share from 0 to 100%/],
    [['--listen', '6000', '--to', '127.0.0.1:9', '--burst', '95%/8'], /burst share of 0 to 0.9/],
    [['--listen', '6000', '--to', '127.0.0.1:9', '--plan', '/no/such/plan.json'], /plan.json: expected a JSON object/],
  ])('refuses %j', (args, message) => {
    const { status, stderr } = spawnSync(process.execPath, [CLI, 'lab', ...args], { encoding: 'utf8' });
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });

  it.each([
    ['{"toTarget": {"lost": 1}}', /toTarget: expected some of delayMs/],
    ['{"toTarget": {"loss": "much"}}', /toTarget: loss is not what it should be/],
    ['{"target": {}}', /expected toTarget and toClient/],
    ['[]', /expected a JSON object/],
  ])('refuses the plan %s', (plan, message) => {
    const file = join(temporaryDirectory(), 'plan.json');
    writeFileSync(file, plan);
    const args = [CLI, 'lab', '--listen', '6000', '--to', '127.0.0.1:9', '--plan', file];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
  });
});

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CLI, 'lab', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
