/**
 * A program: sends a port every kind of datagram that is no WireGuard message of anybody: all short lengths, all types with
 * the lengths of real messages and others, set reserved bytes, and the longest that UDP has. Their bytes are random, from
 * a key. Prints how many were sent.
 *
 *     node netns-junk.js ADDRESS PORT KEY
 */
import { createCipheriv, createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { setTimeout as delay } from 'node:timers/promises';

const [address = '', port = '', key = ''] = process.argv.slice(2);
const LENGTH_MAX = 65_507;
const SHORT_MAX = 160;
/** Of the messages 1 to 4, and next to them. */
const LENGTHS = [31, 32, 33, 63, 64, 65, 91, 92, 93, 147, 148, 149, 1_432] as const;
const BURST = 64;

const cipher = createCipheriv('aes-256-ctr', createHash('sha256').update(key).digest(), Buffer.alloc(16));
const random = (length: number): Buffer => cipher.update(Buffer.alloc(length));
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
const junk = [...everything()];
for (const [index, datagram] of junk.entries()) {
  await new Promise<void>((resolve) => socket.send(datagram, Number(port), address, () => resolve()));
  if (index % BURST === 0) await delay(1);
}
socket.close();
process.stdout.write(`${junk.length}\n`);

function* everything(): Generator<Buffer> {
  for (let length = 0; length <= SHORT_MAX; length += 1) yield random(length);
  for (let type = 0; type <= 255; type += 1) yield withStart(random(148), [type, 0, 0, 0]);
  for (const length of LENGTHS) {
    for (const type of [1, 2, 3, 4]) {
      yield withStart(random(length), [type, 0, 0, 0]);
      yield withStart(Buffer.alloc(length), [type, 0, 0, 0]);
      yield withStart(random(length), [type, 0, 1, 0]);
    }
  }
  yield withStart(random(LENGTH_MAX), [4, 0, 0, 0]);
  yield withStart(random(LENGTH_MAX), [1, 0, 0, 0]);
}

function withStart(datagram: Buffer, start: readonly number[]): Buffer {
  datagram.set(start.slice(0, datagram.length));
  return datagram;
}
