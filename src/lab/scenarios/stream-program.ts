/**
 * A program, not a library: one end of a numbered UDP stream, or of a steady TCP stream whose stalls are watched.
 *
 *     node stream-program.js receive ADDRESS PORT SECONDS
 *     node stream-program.js send ADDRESS PORT SECONDS LENGTH MEGABITS
 *     node stream-program.js accept ADDRESS PORT SECONDS
 *     node stream-program.js connect ADDRESS PORT SECONDS MEGABITS
 *
 * Receivers say `ready` on standard error, end with the stream or after SECONDS, and print figures as one line of JSON.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { countOf, END_NUMBER, numberOf, sentMsOf, writeNumbered } from './numbered.ts';
import { StreamTally } from './stream-tally.ts';

const PACE_MS = 2;
/** What is late may still come after the end was seen. */
const LINGER_MS = 1_500;
const ENDS = 20;
const BUFFER_BYTES = 4 << 20;

const [role = '', address = '', portText = '', secondsText = '', ...rest] = process.argv.slice(2);
const port = Number(portText);
const seconds = Number(secondsText);
const figures = await run();
if (figures !== null) process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);

function run(): Promise<unknown> {
  if (role === 'receive') return receive();
  if (role === 'send') return send(Number(rest[0]), Number(rest[1]));
  if (role === 'accept') return accept();
  if (role === 'connect') return pour(Number(rest[0]));
  throw new Error(`unknown role ${role}`);
}

async function receive(): Promise<unknown> {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket({ type, recvBufferSize: BUFFER_BYTES }).bind(port, address);
  await once(socket, 'listening');
  const tally = new StreamTally();
  let sent = -1;
  const ended = new Promise<void>((resolve) => {
    socket.on('message', (packet) => {
      const number = numberOf(packet);
      if (number === END_NUMBER) {
        sent = countOf(packet);
        resolve();
      } else if (number >= 0) tally.take(number, sentMsOf(packet), nowMs());
    });
  });
  process.stderr.write('ready\n');
  await Promise.race([ended, delay(seconds * 1_000)]);
  await delay(LINGER_MS);
  return tally.figures(Math.max(sent, 0));
}

async function send(length: number, megabits: number): Promise<null> {
  const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', sendBufferSize: BUFFER_BYTES });
  socket.connect(port, address);
  await once(socket, 'connect');
  socket.on('error', () => undefined);
  const perMs = (megabits * 1_000) / 8 / length;
  const startMs = nowMs();
  let sent = 0;
  while (nowMs() - startMs < seconds * 1_000) {
    for (const due = (nowMs() - startMs) * perMs; sent < due; sent += 1) socket.send(numbered(length, sent));
    await delay(PACE_MS);
  }
  await delay(LINGER_MS);
  for (let end = 0; end < ENDS; end += 1) {
    const packet = Buffer.alloc(length);
    writeNumbered(packet, END_NUMBER, nowMs(), sent);
    socket.send(packet);
    await delay(20);
  }
  return null;
}

/** A buffer of its own: the socket sends it later. */
function numbered(length: number, number: number): Buffer {
  const packet = Buffer.alloc(length);
  writeNumbered(packet, number, nowMs());
  return packet;
}

async function accept(): Promise<unknown> {
  const server = createServer().listen(port, address);
  await once(server, 'listening');
  process.stderr.write('ready\n');
  const [socket] = (await Promise.race([once(server, 'connection'), delay(seconds * 1_000, [null])])) as [
    Socket | null,
  ];
  if (socket === null) return { bytes: 0, longestGapMs: seconds * 1_000 };
  let bytes = 0;
  let longestGapMs = 0;
  let lastMs = nowMs();
  socket.on('data', (chunk) => {
    const now = nowMs();
    longestGapMs = Math.max(longestGapMs, now - lastMs);
    lastMs = now;
    bytes += chunk.length;
  });
  socket.on('error', () => undefined);
  await Promise.race([once(socket, 'close'), delay(seconds * 1_000)]);
  return { bytes, longestGapMs };
}

async function pour(megabits: number): Promise<null> {
  const socket = connect({ host: address, port, noDelay: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  const startMs = nowMs();
  const perMs = (megabits * 1_000) / 8;
  let written = 0;
  while (nowMs() - startMs < seconds * 1_000) {
    const due = Math.floor((nowMs() - startMs) * perMs) - written;
    if (due > 0 && socket.writableLength < 1 << 20) socket.write(Buffer.alloc(Math.min(due, 1 << 18)));
    written += due;
    await delay(PACE_MS);
  }
  socket.destroySoon();
  return null;
}

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
