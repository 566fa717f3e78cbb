/** The UAPI's socket with a device that is nothing but its settings: clients of all kinds, two of one name, and the socket's end. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { STALL_LIMIT_MS } from '../../src/uapi/connection.ts';
import { CONNECTIONS_MAX, openUapi, type UapiOptions, type UapiServer } from '../../src/uapi/server.ts';
import { keptLog, rejectionOf, temporaryDirectory } from '../control/support/fakes.ts';
import { listeningFd } from '../support/listening-fd.ts';
import { ModelDevice } from './support/model-device.ts';

const KEY = '11'.repeat(32);
const ADD_PEER = `set=1\npublic_key=${KEY}\nallowed_ip=10.0.0.0/8\n\n`;
const EMPTY_GET = 'errno=0\n\n';

interface Served {
  readonly directory: string;
  readonly path: string;
  readonly device: ModelDevice;
  readonly server: UapiServer;
  readonly lines: string[];
  /** How often the socket's removal was told. */
  readonly removed: () => number;
}

async function serve(part: Partial<UapiOptions> = {}): Promise<Served> {
  const { directory = temporaryDirectory() } = part;
  const device = new ModelDevice();
  const { log, lines } = keptLog();
  let removedCount = 0;
  const onRemoved = (): void => {
    removedCount += 1;
  };
  const server = await openUapi({ name: 'wg0', device, log, onRemoved, directory, ...part });
  onTestFinished(() => server.close());
  return { directory, path: server.path, device, server, lines, removed: () => removedCount };
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

/** Sends pieces as they are and gives all that comes back until the connection ends; without `end` it is the server that ends. */
async function exchange(path: string, pieces: readonly (string | Uint8Array)[], end = true): Promise<string> {
  const socket = await connected(path);
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  for (const piece of pieces) {
    socket.write(piece);
    if (pieces.length > 1) await delay(1);
  }
  if (end) socket.end();
  await closed;
  return text;
}

/** Sends one request on an open connection and gives its answer. */
async function ask(socket: Socket, request: string): Promise<string> {
  let text = '';
  const done = new Promise<void>((resolve) => {
    const take = (chunk: Buffer): void => {
      text += chunk;
      if (!text.endsWith('\n\n')) return;
      socket.off('data', take);
      resolve();
    };
    socket.on('data', take);
  });
  socket.write(request);
  await done;
  return text;
}

describe('a UAPI socket', () => {
  it('answers what is asked, over one connection or many', async () => {
    const { path, device } = await serve();
    const socket = await connected(path);
    expect(await ask(socket, 'get=1\n\n')).toBe(EMPTY_GET);
    expect(await ask(socket, ADD_PEER)).toBe('errno=0\n\n');
    expect(await ask(socket, 'get=1\n\n')).toContain(`public_key=${KEY}\n`);
    expect(await exchange(path, ['set=1\nlisten_port=5\n\n'])).toBe('errno=0\n\n');
    expect(await ask(socket, 'get=1\n\n')).toContain('listen_port=5\n');
    expect(device.changesCount).toBe(2);
  });

  it('answers several requests sent at once, in order', async () => {
    const { path } = await serve();
    const text = await exchange(path, ['set=1\nfwmark=7\n\nset=1\nfwmark=x\n\nget=1\n\nset=1\n\n']);
    expect(text).toBe('errno=0\n\nerrno=-22\n\nfwmark=7\nerrno=0\n\nerrno=0\n\n');
  });

  it('takes a request cut into bytes', async () => {
    const { path, device } = await serve();
    const bytes = [...Buffer.from('set=1\nlisten_port=77\n\nget=1\n\n')].map((byte) => Uint8Array.of(byte));
    expect(await exchange(path, bytes)).toBe('errno=0\n\nlisten_port=77\nerrno=0\n\n');
    expect(device.listenPort).toBe(77);
  });

  it('lies in a directory that others may look into, and opens to its owner alone', async () => {
    const directory = join(temporaryDirectory(), 'a', 'wireguard');
    const { path } = await serve({ directory });
    expect(path).toBe(join(directory, 'wg0.sock'));
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(directory).mode & 0o777).toBe(0o755);
    expect(readdirSync(directory)).toEqual(['wg0.sock']);
  });

  it('leaves a directory that is there as it is', async () => {
    const directory = temporaryDirectory();
    chmodSync(directory, 0o711);
    await serve({ directory });
    expect(statSync(directory).mode & 0o777).toBe(0o711);
  });

  it('is gone after closing, and its clients with it, but not before the answer under way', async () => {
    const { path, server, device, removed } = await serve();
    device.configure({ peers: manyPeers(20_000) });
    const socket = await connected(path);
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.write('get=1\n\n');
    await new Promise((resolve) => socket.once('data', resolve));
    await Promise.all([server.close(), server.close()]);
    expect(existsSync(path)).toBe(false);
    await vi.waitFor(() => expect(text.endsWith('errno=0\n\n')).toBe(true));
    expect(text.match(/public_key=/g)).toHaveLength(20_000);
    await delay(20);
    expect(removed()).toBe(0);
  });

  it('tells what went wrong by an errno: negative for set, positive for get', async () => {
    const { path, device, lines } = await serve();
    const socket = await connected(path);
    device.refusal = new GigatunError('BUSY', 'the port is taken');
    expect(await ask(socket, ADD_PEER)).toBe('errno=-98\n\n');
    device.refusal = new GigatunError('SYSTEM', 'no', { errno: 13 });
    expect(await ask(socket, ADD_PEER)).toBe('errno=-13\n\n');
    device.refusal = new Error('what nobody thought of');
    expect(await ask(socket, ADD_PEER)).toBe('errno=-55\n\n');
    device.settings = () => {
      throw new GigatunError('GONE', 'it ended');
    };
    expect(await ask(socket, 'get=1\n\n')).toBe('errno=19\n\n');
    expect(lines.join('\n')).toContain('reason="the port is taken"');
  });

  it('takes no name that is none', async () => {
    const directory = temporaryDirectory();
    for (const name of ['', '..', '../wg0', 'a/b', 'x'.repeat(16)])
      expect(await rejectionOf(serve({ name, directory }))).toMatchObject({ code: 'CONFIG' });
    expect(await rejectionOf(serve({ directory: join(directory, 'x'.repeat(100)) }))).toMatchObject({ code: 'CONFIG' });
  });

  it('says when it may not be made there', async () => {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, 'file'), '');
    expect(await rejectionOf(serve({ directory: join(directory, 'file') }))).toBeInstanceOf(GigatunError);
    expect(readdirSync(directory)).toEqual(['file']);
  });
});

function manyPeers(count: number): { publicKey: Uint8Array }[] {
  return Array.from({ length: count }, (_, at) => {
    const publicKey = new Uint8Array(32).fill(1);
    new DataView(publicKey.buffer).setUint32(0, at);
    return { publicKey };
  });
}

describe('two of one name', () => {
  it('cannot be: the second is told, the first lives on', async () => {
    const { directory, path } = await serve();
    expect(await rejectionOf(serve({ directory }))).toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('in use'),
    });
    expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
    expect(readdirSync(directory)).toEqual(['wg0.sock']);
  });

  it('can follow each other, even after a kill that left the socket', async () => {
    const directory = temporaryDirectory();
    await leaveStaleSocket(join(directory, 'wg0.sock'));
    const { path } = await serve({ directory });
    expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
    expect(readdirSync(directory)).toEqual(['wg0.sock']);
  });

  it('cannot both start at once', async () => {
    const directory = temporaryDirectory();
    const starts = await Promise.allSettled([serve({ directory }), serve({ directory })]);
    expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });
});

/** A socket file that nobody listens on any more: bound under another name, which is removed in its place on closing. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = await listening(`${path}.tmp`);
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
  expect(existsSync(path)).toBe(true);
}

async function listening(path: string): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return server;
}

describe('a socket that was opened elsewhere', () => {
  it('is served, watched and removed like one of our own', async () => {
    const directory = temporaryDirectory();
    const { path, server, removed } = await serve({ directory, fd: boundSocket(join(directory, 'wg0.sock')) });
    expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
    await server.close();
    expect(readdirSync(directory)).toEqual([]);
    expect(removed()).toBe(0);
  });

  it('ends its device, too, when its file is deleted', async () => {
    const directory = temporaryDirectory();
    const { path, removed } = await serve({ directory, fd: boundSocket(join(directory, 'wg0.sock')) });
    rmSync(path);
    await vi.waitFor(() => expect(removed()).toBe(1));
  });

  it('may lie where nobody looks', async () => {
    const directory = temporaryDirectory();
    const elsewhere = join(directory, 'other.sock');
    const { removed } = await serve({ directory, fd: boundSocket(elsewhere) });
    expect(await exchange(elsewhere, ['get=1\n\n'])).toBe(EMPTY_GET);
    rmSync(elsewhere);
    await delay(20);
    expect(removed()).toBe(0);
  });

  it('is no TCP socket, no file and no number', async () => {
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve));
    const tcpFd = listeningFd(tcp);
    const fileFd = openSync(join(temporaryDirectory(), 'file'), 'w');
    for (const fd of [tcpFd, fileFd, 987_654]) {
      const message = expect.stringContaining(`descriptor ${fd}`);
      expect(await rejectionOf(serve({ fd }))).toMatchObject({ code: 'CONFIG', message });
    }
    tcp.close();
    closeSync(fileFd);
  });
});

/** Handles of descriptors that servers have taken over: they must not be closed again with the handle. */
const taken: unknown[] = [];

interface PipeBinding {
  readonly Pipe: new (kind: number) => { bind(path: string): number; readonly fd: number };
  readonly constants: { readonly SERVER: number };
}

/** A UNIX socket at a path as a program around this one would hand it over: nobody in this process serves it yet. */
function boundSocket(path: string): number {
  const internal = process as unknown as { binding(name: string): PipeBinding };
  const { Pipe, constants } = internal.binding('pipe_wrap');
  const pipe = new Pipe(constants.SERVER);
  expect(pipe.bind(path)).toBe(0);
  taken.push(pipe);
  return pipe.fd;
}

describe('deleting the socket', () => {
  it('is told once', async () => {
    const { path, removed } = await serve();
    rmSync(path);
    await vi.waitFor(() => expect(removed()).toBe(1));
    writeFileSync(path, '');
    rmSync(path);
    await delay(30);
    expect(removed()).toBe(1);
  });

  it('is told when the directory goes, too, even to where it cannot be watched', async () => {
    const directory = join(temporaryDirectory(), 'wireguard');
    mkdirSync(directory);
    const { removed } = await serve({ directory });
    rmSync(directory, { recursive: true });
    await vi.waitFor(() => expect(removed()).toBe(1), { timeout: 10_000 });
    const above = join(temporaryDirectory(), 'above');
    const moved = await serve({ directory: join(above, 'wireguard') });
    renameSync(above, `${above}-moved`);
    await vi.waitFor(() => expect(moved.removed()).toBe(1), { timeout: 10_000 });
  });

  it('is told when another takes its place, whose socket stays', async () => {
    const { path, server, removed } = await serve();
    rmSync(path);
    const other = await listening(path);
    onTestFinished(() => {
      other.close();
    });
    await vi.waitFor(() => expect(removed()).toBe(1));
    await server.close();
    expect(existsSync(path)).toBe(true);
  });

  it('is nothing that happens to a neighbour', async () => {
    const { directory, removed } = await serve();
    const neighbour = await serve({ directory, name: 'wg1' });
    rmSync(neighbour.path);
    await vi.waitFor(() => expect(neighbour.removed()).toBe(1));
    expect(removed()).toBe(0);
  });
});

describe('a stranger', () => {
  it.each(['\n', 'x\n', 'get=2\n\n', 'GET / HTTP/1.1\r\n\r\n', 'set=1\r\n\r\n', ' get=1\n\n', '\u0000\n'])(
    'who sends %j is hung up on without a word',
    async (text) => {
      const { path } = await serve();
      expect(await exchange(path, [text], false)).toBe('');
      expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
    },
  );

  it('who sends a line without end is hung up on, within a request with an errno', async () => {
    const { path } = await serve();
    expect(await exchange(path, ['x'.repeat(100_000)], false)).toBe('');
    expect(await exchange(path, [`set=1\nprivate_key=${'1'.repeat(100_000)}`], false)).toBe('errno=-5\n\n');
    expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
  });

  it('who ends within a request changes nothing', async () => {
    const { path, device } = await serve();
    expect(await exchange(path, [`set=1\nlisten_port=5\npublic_key=${KEY}\n`])).toBe('errno=-71\n\n');
    expect(await exchange(path, ['set=1\nlisten_port=5\n\nset=1\nlisten_p'])).toBe('errno=0\n\nerrno=-71\n\n');
    expect(await exchange(path, ['get=1\n'])).toBe('errno=71\n\n');
    expect(await exchange(path, ['get='])).toBe('');
    expect(device).toMatchObject({ changesCount: 1, listenPort: 5 });
  });

  it('who does not read waits alone', async () => {
    const { path, device } = await serve();
    device.configure({ peers: manyPeers(3_000) });
    const lazy = await connected(path);
    lazy.pause();
    lazy.write('get=1\n\n'.repeat(1_000));
    await delay(50);
    expect(await exchange(path, ['set=1\nfwmark=1\n\n'])).toBe('errno=0\n\n');
  });

  it.each(['set=1\n', 'set=1\nlisten_por', 'get=1\n'])(
    'who stops within a request (%j) is hung up on',
    async (part) => {
      const { path, device } = await serve({ stallLimitMs: 50 });
      expect(await exchange(path, [part], false)).toBe('');
      expect(device.changesCount).toBe(0);
      expect(await exchange(path, ['get=1\n\n'])).toBe(EMPTY_GET);
    },
  );

  it('who does not take its answer is hung up on', async () => {
    const { path, device } = await serve({ stallLimitMs: 50 });
    device.configure({ peers: manyPeers(20_000) });
    const lazy = await connected(path);
    const refused = new Promise<NodeJS.ErrnoException>((resolve) => lazy.once('error', resolve));
    lazy.pause();
    lazy.write('get=1\n\n');
    // Not read from, it notices only when it writes. More rarely than the limit, for what comes in counts as movement.
    const knocks = setInterval(() => lazy.write('get=1\n\n'), 500);
    const { code } = await refused.finally(() => clearInterval(knocks));
    expect(['EPIPE', 'ECONNRESET']).toContain(code);
    expect(await exchange(path, ['set=1\nfwmark=1\n\n'])).toBe('errno=0\n\n');
  });

  it('who is slow within a request, or waits between two, stays', async () => {
    const { path, device } = await serve({ stallLimitMs: 500 });
    const socket = await connected(path);
    for (const part of ['set=1\n', 'listen', '_port=', '9\n']) {
      socket.write(part);
      await delay(200);
    }
    expect(await ask(socket, '\n')).toBe('errno=0\n\n');
    expect(device.listenPort).toBe(9);
    await delay(1_200);
    expect(await ask(socket, 'get=1\n\n')).toBe('listen_port=9\nerrno=0\n\n');
  });

  it('may stop for as long as docs/uapi.md says', () => {
    const text = readFileSync(new URL('../../docs/uapi.md', import.meta.url), 'utf8');
    expect(text).toContain(`is hung up on after ${STALL_LIMIT_MS / 1_000} seconds`);
  });

  it('who hangs up before the answer, or within it, harms nobody', async () => {
    const { path, device } = await serve();
    device.configure({ peers: manyPeers(3_000) });
    for (let times = 0; times < 20; times += 1) {
      const socket = await connected(path);
      socket.write('get=1\n\n');
      if (times % 2 === 0) await new Promise((resolve) => socket.once('data', resolve));
      socket.destroy();
    }
    await delay(30);
    expect(await exchange(path, ['set=1\nfwmark=1\n\n'])).toBe('errno=0\n\n');
  });

  it('may come in crowds: the one silent longest makes room', async () => {
    const { path } = await serve();
    const crowd: Socket[] = [];
    for (let at = 0; at < CONNECTIONS_MAX; at += 1) crowd.push(await connected(path));
    expect(await ask(crowd[0], 'get=1\n\n')).toBe(EMPTY_GET);
    const hungUp = new Promise((resolve) => crowd[1].once('close', resolve));
    const newcomer = await connected(path);
    expect(await ask(newcomer, 'get=1\n\n')).toBe(EMPTY_GET);
    await hungUp;
    expect(await ask(crowd[0], 'get=1\n\n')).toBe(EMPTY_GET);
  });

  it('who sends anything at all ends nothing but himself', async () => {
    const { path } = await serve();
    const bytes = fc.uint8Array({ maxLength: 300 });
    const almost = fc.tuple(fc.constantFrom('set=1\n', 'get=1\n', 'set=1\npublic_key='), bytes);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          bytes.map((piece) => ['', piece] as const),
          almost,
        ),
        async (pieces) => {
          await exchange(path, pieces);
        },
      ),
      { numRuns: 60 },
    );
    expect(await exchange(path, ['get=1\n\n'])).toContain('errno=0\n\n');
  });
});
