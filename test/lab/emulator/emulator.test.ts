/**
 *     client (UDP)  <--- emulator on 127.0.0.1 --->  target (UDP)
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { endpointOf } from '../../../src/endpoint-text.ts';
import { Emulator } from '../../../src/lab/emulator/emulator.ts';
import { type Impairments, NO_IMPAIRMENTS } from '../../../src/lab/emulator/impairments.ts';

const SECONDS = 20;
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

describe('the emulator', () => {
  it('relays both ways, whole and in order, and ends when it is told to', async () => {
    const { client, target, emulator, port, running } = await scene({});
    const messages = Array.from({ length: 500 }, (_, at) => Buffer.alloc(1 + ((at * 37) % 1_400), at & 0xff));
    const atTarget = collect(target, messages.length);
    for (const message of messages) client.send(message, port, '127.0.0.1');
    const received = await atTarget;
    expect(received.map(({ bytes }) => bytes)).toEqual(messages);
    const atClient = collect(client, 2);
    for (const text of ['one', 'two']) target.send(text, port, '127.0.0.1');
    expect((await atClient).map(({ bytes }) => String(bytes))).toEqual(['one', 'two']);
    emulator.end();
    expect(await running).toMatchObject({
      toTarget: { passed: 500 },
      toClient: { passed: 2 },
      refused: 0,
      overflowed: 0,
    });
  });

  it('delays by its time', async () => {
    const { client, target, emulator, port, running } = await scene({ delayMs: 50 });
    const sentMs = performance.now();
    const arrived = collect(target, 1);
    client.send('late', port, '127.0.0.1');
    const [first] = await arrived;
    expect((first?.atMs ?? 0) - sentMs).toBeGreaterThanOrEqual(49);
    emulator.end();
    await running;
  });

  it('loses what it is told to, and nothing more', async () => {
    const { client, target, emulator, port, running } = await scene({ loss: 0.5 });
    let came = 0;
    target.on('message', () => {
      came += 1;
    });
    for (let at = 0; at < 400; at += 1) client.send(`${at}`, port, '127.0.0.1');
    await expect.poll(() => emulator.figures.toTarget.passed + emulator.figures.toTarget.lostRandom).toBe(400);
    await expect.poll(() => came).toBe(emulator.figures.toTarget.passed);
    expect(emulator.figures.toTarget.lostRandom).toBeGreaterThan(100);
    emulator.end();
    await running;
  });

  it('is cut and mended', async () => {
    const { client, target, emulator, port, running } = await scene({});
    emulator.cut(true);
    client.send('lost', port, '127.0.0.1');
    await expect.poll(() => emulator.figures.toTarget.lostBlackout).toBe(1);
    emulator.cut(false);
    const arrived = collect(target, 1);
    client.send('through', port, '127.0.0.1');
    expect((await arrived).map(({ bytes }) => String(bytes))).toEqual(['through']);
    emulator.end();
    await running;
  });

  it('refuses a port that is taken, and values that make no sense', async () => {
    const holder = createSocket('udp4').bind(0);
    sockets.push(holder);
    await once(holder, 'listening');
    const plan = planOf(holder.address().port, 9, {});
    expect(() => new Emulator(plan)).toThrowError(expect.objectContaining({ code: 'BUSY' }));
    expect(() => new Emulator(planOf(0, 9, { loss: 2 }))).toThrowError(expect.objectContaining({ code: 'CONFIG' }));
    expect(() => new Emulator(planOf(0, 9, { delayMs: Number.NaN }))).toThrowError(
      expect.objectContaining({ code: 'CONFIG' }),
    );
  });
});

async function scene(impairments: Partial<Impairments>) {
  const [client, target, spare] = await Promise.all([open(), open(), open()]);
  const { port } = spare.address();
  sockets.splice(sockets.indexOf(spare), 1);
  await new Promise<void>((resolve) => spare.close(resolve));
  const emulator = new Emulator(planOf(port, target.address().port, impairments));
  return { client, target, emulator, port, running: emulator.run(SECONDS) };
}

function planOf(port: number, targetPort: number, impairments: Partial<Impairments>) {
  const link = { ...NO_IMPAIRMENTS, ...impairments };
  const target = endpointOf({ address: '127.0.0.1', port: targetPort });
  return { port, target, client: null, toTarget: link, toClient: link, seed: 1 };
}

async function open(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20 }).bind(0, '127.0.0.1');
  sockets.push(socket);
  await once(socket, 'listening');
  return socket;
}

/** The next datagrams that come, and when. */
function collect(socket: Socket, count: number): Promise<{ bytes: Buffer; atMs: number }[]> {
  const messages: { bytes: Buffer; atMs: number }[] = [];
  return new Promise((resolve) => {
    const take = (bytes: Buffer): void => {
      messages.push({ bytes, atMs: performance.now() });
      if (messages.length < count) return;
      socket.off('message', take);
      resolve(messages);
    };
    socket.on('message', take);
  });
}
