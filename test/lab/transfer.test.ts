/**
 * The integrity check checks: an intact stream passes, one flipped byte is found.
 *
 *     a: 10.99.0.1 == veth == b: 10.99.0.2
 */
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Lab } from '../../src/lab/namespaces.ts';
import { start } from '../../src/lab/process.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/lab/transfer-end.js', import.meta.url));
const BYTES = 3_000_001;

tunnelSuite('a transfer', [], () => {
  it('between two namespaces is intact, and both ends have the same hash', async () => {
    const lab = new Lab();
    try {
      const [a, b] = lab.connect(lab.addNamespace('a'), lab.addNamespace('b'));
      const result = await transfer({ from: a.namespace, to: b.namespace, address: b.address6 }, BYTES, 'seed');
      expect(result).toMatchObject({ bytes: BYTES, corruptedBytes: 0, intact: true });
      expect(result.receivedSha256).toBe(result.sentSha256);
    } finally {
      lab.close();
    }
  });

  it('with three bytes changed on the way is found to have three wrong bytes and another hash', async () => {
    const receiver = start([process.execPath, PROGRAM, 'receive', '127.0.0.1', '7078', 'seed', String(BYTES)]);
    await receiver.waitForOutput(/ready/, 5_000);
    const relay = await collectOnce();
    const sender = start([process.execPath, PROGRAM, 'send', '127.0.0.1', String(relay.port), 'seed', String(BYTES)]);
    const stream = await relay.stream;
    for (const position of [0, 1_000_000, BYTES - 1]) stream[position] = (stream[position] ?? 0) ^ 1;
    await sendOnce(7078, stream);
    const received = JSON.parse((await receiver.finished).stdout);
    const sent = JSON.parse((await sender.finished).stdout);
    expect(received).toMatchObject({ bytes: BYTES, corrupted: 3, complete: true });
    expect(received.sha256).not.toBe(sent.sha256);
  });
});

/** A server that takes one connection and gives all that came over it. */
async function collectOnce(): Promise<{ port: number; stream: Promise<Buffer> }> {
  const server: Server = createServer();
  const stream = new Promise<Buffer>((resolve) => {
    server.once('connection', async (socket) => {
      server.close();
      const chunks: Buffer[] = [];
      for await (const chunk of socket) chunks.push(chunk);
      socket.end();
      resolve(Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return { port: typeof address === 'object' && address !== null ? address.port : 0, stream };
}

async function sendOnce(port: number, stream: Buffer): Promise<void> {
  const { connect } = await import('node:net');
  const socket = connect(port, '127.0.0.1');
  await new Promise((resolve) => socket.end(stream, () => resolve(undefined)));
}
