/**
 * A program, not a library: one end of a TCP transfer whose every byte is known beforehand. The stream is the AES-256-CTR
 * keystream of a seed, so the receiver counts wrong bytes against its own copy, besides both ends' SHA-256.
 *
 *     node transfer-end.js receive ADDRESS PORT SEED BYTES      node transfer-end.js send ADDRESS PORT SEED BYTES
 *
 * The receiver says `ready` on standard error; at its end each prints its figures as one line of JSON.
 */
import { type Cipher, createCipheriv, createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';

const CHUNK_LENGTH = 256 * 1024;
const zeros = Buffer.alloc(CHUNK_LENGTH);

const [role = '', address = '', port = '', seed = '', bytes = ''] = process.argv.slice(2);
if (role === 'receive') receive(Number(bytes));
else if (role === 'send') await send(Number(bytes));
else throw new Error(`unknown role ${role}`);

function receive(wanted: number): void {
  const expected = keystream();
  const hash = createHash('sha256');
  let received = 0;
  let corrupted = 0;
  const server = createServer((socket) => {
    server.close();
    socket.on('data', (chunk) => {
      received += chunk.length;
      hash.update(chunk);
      corrupted += differences(chunk, expected.update(zeros.subarray(0, chunk.length)));
    });
    socket.once('end', () => {
      socket.end();
      print({ bytes: received, corrupted, sha256: hash.digest('hex'), complete: received === wanted });
    });
  });
  server.listen(Number(port), address, () => process.stderr.write('ready\n'));
}

async function send(wanted: number): Promise<void> {
  const stream = keystream();
  const hash = createHash('sha256');
  const socket = connect(Number(port), address);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const startedMs = performance.now();
  for (let left = wanted; left > 0; left -= CHUNK_LENGTH) {
    const chunk = stream.update(zeros.subarray(0, Math.min(left, CHUNK_LENGTH)));
    hash.update(chunk);
    if (!socket.write(chunk)) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end();
  await new Promise((resolve) => socket.resume().once('close', resolve));
  print({ bytes: wanted, seconds: (performance.now() - startedMs) / 1_000, sha256: hash.digest('hex') });
}

function keystream(): Cipher {
  return createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
}

/** Counts positions where the two differ. Equal buffers, the usual case, cost one comparison. A socket gives at most 64 KiB at a time. */
function differences(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return 0;
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

function print(figures: object): void {
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
