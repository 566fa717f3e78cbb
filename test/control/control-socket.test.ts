/** The control socket, both ends: ordinary use, strangers, crowds, and the dead. */
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ControlClient, callControl, runningNames } from '../../src/control/control-client.ts';
import { LineReader, parseAnswer, parseRequest } from '../../src/control/control-protocol.ts';
import {
  type ControlHandlers,
  type ControlServer,
  isAlive,
  openControlServer,
} from '../../src/control/control-server.ts';
import { prepareRunDirectory, socketPath, startingSocketPath } from '../../src/control/run-directory.ts';
import { GigatunError } from '../../src/errors.ts';
import { keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';

const HANDLERS: ControlHandlers = {
  status: () => ({ text: 'line\nend', big: 'x'.repeat(300_000) }),
  stats: async () => await delay(5, { count: 1 }),
  version: () => undefined,
  reload: () => 'reloaded',
  difference: () => [],
  down: () => {
    throw new GigatunError('BUSY', 'not now');
  },
};

async function serve(
  name = 'wg0',
  handlers: Partial<ControlHandlers> = {},
  directory = temporaryDirectory(),
): Promise<Served> {
  const path = socketPath(directory, name);
  const server = await openControlServer(path, { ...HANDLERS, ...handlers }, keptLog().log);
  onTestFinished(() => server.close());
  return { directory, path, server };
}

interface Served {
  readonly directory: string;
  readonly path: string;
  readonly server: ControlServer;
}

/** Sends bytes as they are and gives all that comes back until the connection ends. */
async function exchange(path: string, bytes: string | Uint8Array, end = true): Promise<string> {
  const socket = await connected(path);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

async function connected(path: string): Promise<Socket> {
  const socket = connect(path);
  // A server that hangs up while we still write is what some tests are about.
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('connect', resolve));
  onTestFinished(() => {
    socket.destroy();
  });
  return socket;
}

describe('a control socket', () => {
  it('answers in order, over one connection or many', async () => {
    const { directory } = await serve();
    const client = await ControlClient.connect(directory, 'wg0');
    expect(await client.call('stats')).toEqual({ count: 1 });
    expect(await client.call('status')).toMatchObject({ text: 'line\nend' });
    expect(await client.call('version')).toBeNull();
    client.close();
    expect(await callControl(directory, 'wg0', 'stats')).toEqual({ count: 1 });
  });

  it('answers several requests sent at once', async () => {
    const { path } = await serve();
    const text = await exchange(path, '{"id":1,"method":"stats"}\n{"id":"b","method":"version"}\n');
    expect(text).toBe('{"id":1,"result":{"count":1}}\n{"id":"b","result":null}\n');
  });

  it('hands an error over with its code', async () => {
    const { directory } = await serve();
    const error = await rejectionOf(callControl(directory, 'wg0', 'down'));
    expect(error).toMatchObject({ code: 'BUSY', message: 'not now' });
  });

  it('can be opened by its owner only', async () => {
    const { path } = await serve();
    expect(statSync(path).mode & 0o077).toBe(0);
  });

  it('moves in one step, and is gone after closing', async () => {
    const { directory, path, server } = await serve('new');
    server.moveTo(socketPath(directory, 'wg0'));
    expect(existsSync(path)).toBe(false);
    expect(await callControl(directory, 'wg0', 'version')).toBeNull();
    await server.close();
    await server.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('finishes the answer under way when it closes, and ends the others', async () => {
    let release: (value: string) => void = () => {};
    const slow = new Promise<string>((resolve) => {
      release = resolve;
    });
    const { directory, server } = await serve('new', { stats: () => slow });
    const path = socketPath(directory, 'wg0');
    server.moveTo(path);
    const client = await ControlClient.connect(directory, 'wg0');
    const idle = await connected(path);
    const idleEnded = new Promise((resolve) => idle.once('close', resolve));
    const answer = client.call('stats');
    await delay(20);
    const closing = server.close();
    await idleEnded;
    // Whoever sees its connection end finds the socket gone, even while another still waits for its answer.
    expect(existsSync(path)).toBe(false);
    release('late');
    expect(await answer).toBe('late');
    await closing;
    await client.closed;
  });
});

describe('two of one name', () => {
  it('cannot be: the second is told, the first lives on', async () => {
    const { directory } = await serve();
    expect(await rejectionOf(serve('wg0', {}, directory))).toMatchObject({ code: 'BUSY' });
    expect(await callControl(directory, 'wg0', 'version')).toBeNull();
  });

  it('can follow each other, even after a kill that left the socket', async () => {
    const directory = temporaryDirectory();
    const path = socketPath(directory, 'wg0');
    await leaveStaleSocket(path);
    expect(await isAlive(path)).toBe(false);
    await serve('wg0', {}, directory);
    expect(await callControl(directory, 'wg0', 'version')).toBeNull();
  });

  it('need a path that fits', async () => {
    const directory = join(temporaryDirectory(), 'x'.repeat(100));
    expect(await rejectionOf(serve('wg0', {}, directory))).toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('GIGATUN_RUN_DIR'),
    });
  });
});

/** A socket file that nobody listens on any more: bound under another name, which is removed in its place on closing. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { renameSync } = await import('node:fs');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
  expect(existsSync(path)).toBe(true);
}

describe('a stranger', () => {
  it.each([
    '\n',
    'x\n',
    '[]\n',
    'null\n',
    '{}\n',
    '{"id":1}\n',
    '{"id":{},"method":"stats"}\n',
    '{"id":1,"method":"toString"}\n',
  ])('who sends %j is told what was expected', async (text) => {
    const { path } = await serve();
    const answer = await exchange(path, text);
    expect(JSON.parse(answer)).toMatchObject({
      error: { code: 'PROTOCOL', message: expect.stringContaining('expected') },
    });
  });

  it('is answered with its own id, as far as it has one', async () => {
    const { path } = await serve();
    expect(JSON.parse(await exchange(path, '{"id":7,"method":"x"}\n'))).toMatchObject({ id: 7 });
  });

  it('who sends more than a line may hold loses the connection, and others do not notice', async () => {
    const { directory, path } = await serve();
    expect(await exchange(path, 'x'.repeat(100_000), false)).toBe('');
    expect(await callControl(directory, 'wg0', 'version')).toBeNull();
  });

  it('who does not read waits alone', async () => {
    const { directory, path } = await serve();
    const lazy = await connected(path);
    lazy.pause();
    lazy.write('{"id":1,"method":"status"}\n'.repeat(1_000));
    await delay(50);
    expect(await callControl(directory, 'wg0', 'stats')).toEqual({ count: 1 });
  });

  it('who hangs up before the answer harms nobody', async () => {
    const { directory, path } = await serve();
    for (let times = 0; times < 20; times++) {
      const socket = await connected(path);
      socket.write('{"id":1,"method":"stats"}\n');
      socket.destroy();
    }
    await delay(30);
    expect(await callControl(directory, 'wg0', 'stats')).toEqual({ count: 1 });
  });

  it('may come in crowds, and the sixty-fifth is turned away', async () => {
    const { path } = await serve();
    const crowd = await Promise.all(Array.from({ length: 64 }, () => connected(path)));
    expect(await exchange(path, '{"id":1,"method":"stats"}\n')).toBe('');
    crowd[0]?.destroy();
    await expect.poll(() => exchange(path, '{"id":1,"method":"stats"}\n')).toContain('"count":1');
  });

  it('who sends anything at all ends nothing but himself', async () => {
    const { directory, path } = await serve();
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await exchange(path, bytes);
      }),
      { numRuns: 50 },
    );
    expect(await callControl(directory, 'wg0', 'version')).toBeNull();
  });
});

describe('a client', () => {
  it('says which interfaces run when there is none of its name', async () => {
    const { directory } = await serve('wg1');
    await serve('wg2', {}, directory);
    await leaveStaleSocket(socketPath(directory, 'dead'));
    for (const name of ['wg0', 'dead']) {
      expect(await rejectionOf(ControlClient.connect(directory, name))).toMatchObject({
        code: 'NOT_FOUND',
        message: `no gigatun interface ${name}; running ones are: wg1, wg2`,
      });
    }
    expect(await runningNames(directory)).toEqual(['wg1', 'wg2']);
  });

  it('reaches one that is still starting when it wants to', async () => {
    const { directory, path, server } = await serve();
    server.moveTo(startingSocketPath(directory, 'wg0'));
    expect(await rejectionOf(ControlClient.connect(directory, 'wg0'))).toMatchObject({ code: 'NOT_FOUND' });
    const early = await ControlClient.connectEarly(directory, 'wg0');
    expect(await early.call('version')).toBeNull();
    early.close();
    server.moveTo(path);
    (await ControlClient.connectEarly(directory, 'wg0')).close();
  });

  it('says so when none runs, or there is no directory', async () => {
    const directory = temporaryDirectory();
    const message = 'no gigatun interface wg0; none runs';
    expect(await rejectionOf(ControlClient.connect(directory, 'wg0'))).toMatchObject({ code: 'NOT_FOUND', message });
    expect(await rejectionOf(ControlClient.connect(`${directory}/no`, 'wg0'))).toMatchObject({
      code: 'NOT_FOUND',
      message,
    });
    expect(await runningNames(`${directory}/no`)).toEqual([]);
  });

  it('does not wait for ever', async () => {
    const { directory } = await serve('wg0', { stats: () => new Promise(() => {}) });
    const client = await ControlClient.connect(directory, 'wg0');
    expect(await rejectionOf(client.call('stats', 30))).toMatchObject({ code: 'PROTOCOL' });
    client.close();
  });

  it.each([
    ['rubbish', 'x\n', 'PROTOCOL'],
    ['an answer to something else', '{"id":99,"result":1}\n', 'PROTOCOL'],
    ['an unknown error', '{"id":1,"error":{"code":"toString"}}\n', 'PROTOCOL'],
    ['nothing but the end', '', 'GONE'],
  ])('is not fooled by %s', async (_, answer, code) => {
    const directory = temporaryDirectory();
    const server = createServer((socket) => socket.once('data', () => socket.end(answer)));
    await new Promise<void>((resolve) => server.listen(socketPath(directory, 'wg0'), resolve));
    onTestFinished(() => {
      server.close();
    });
    expect(await rejectionOf(callControl(directory, 'wg0', 'stats'))).toMatchObject({ code });
  });
});

describe('lines', () => {
  it('come out whole, however the bytes came in', () => {
    const lines = fc.array(
      fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\n')),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(lines, fc.infiniteStream(fc.integer({ min: 1, max: 7 })), (wanted, cuts) => {
        const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''));
        const reader = new LineReader(1_000);
        const got: string[] = [];
        for (let at = 0; at < bytes.length; ) {
          const length = cuts.next().value ?? 1;
          got.push(...reader.push(bytes.subarray(at, at + length)));
          at += length;
        }
        expect(got).toEqual(wanted);
      }),
    );
  });

  it('may be as long as the limit, not longer', () => {
    expect(new LineReader(4).push(Buffer.from('abcd\nefgh\n'))).toEqual(['abcd', 'efgh']);
    expect(() => new LineReader(4).push(Buffer.from('abcde'))).toThrow(GigatunError);
    expect(() => new LineReader(4).push(Buffer.from('abcde\n'))).toThrow(GigatunError);
  });

  it('of any kind are read or refused', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (line) => {
        for (const read of [parseRequest, parseAnswer]) {
          try {
            read(line);
          } catch (error) {
            expect(error).toBeInstanceOf(GigatunError);
          }
        }
      }),
    );
  });
});

describe('the run directory', () => {
  it('is made for its owner alone', () => {
    const directory = join(temporaryDirectory(), 'a', 'b');
    prepareRunDirectory(directory);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    prepareRunDirectory(directory);
  });

  it.each([0o755, 0o750, 0o701, 0o1777])('that others may enter (%o) is refused and stays as it is', (mode) => {
    const directory = temporaryDirectory();
    chmodSync(directory, mode);
    const modeText = mode.toString(8).padStart(4, '0');
    expect(() => prepareRunDirectory(directory)).toThrow(
      expect.objectContaining({
        code: 'PERMISSION',
        message: expect.stringMatching(new RegExp(`mode 0700.* with mode ${modeText}; set GIGATUN_RUN_DIR`)),
      }),
    );
    expect(statSync(directory).mode & 0o7777).toBe(mode);
  });

  it('must be a directory', () => {
    const path = join(temporaryDirectory(), 'file');
    writeFileSync(path, '');
    expect(() => prepareRunDirectory(path)).toThrow(GigatunError);
  });
});
