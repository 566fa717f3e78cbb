/**
 * A program: sends datagrams to a tunnel's port that it must not take: recorded ones once more, or seeded junk of every
 * kind. Prints how many it sent, by the name of the drop reason that each calls for, as one line of JSON.
 *
 *     node tunnel-shooter.js replay SOURCE-ADDRESS TARGET-ADDRESS TARGET-PORT RECORD-FILE
 *     node tunnel-shooter.js junk   SOURCE-ADDRESS TARGET-ADDRESS TARGET-PORT RECORD-FILE COUNT SEED
 */
import { createCipheriv, createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const [kind = '', source = '', address = '', port = '', recordFile = '', count = '0', seed = ''] =
  process.argv.slice(2);
const BURST = 100;
const BURST_MS = 2;
/** Every so many junk datagrams one is as long as UDP allows. */
const OVERSIZED_EVERY = 500;
const LENGTH_MAX = 65_507;
const HANDSHAKE_LENGTHS: Readonly<Record<number, number>> = { 1: 148, 2: 92, 3: 64 };
const TYPE_TRANSPORT = 4;

type Shot = readonly [reason: string, datagram: Buffer];

const recorded = readRecord(readFileSync(recordFile));
const random = randomBytes(seed);
const shots = kind === 'replay' ? replay() : junk(Number(count));
const sent: Record<string, number> = {};
const socket = createSocket({ type: 'udp4', sendBufferSize: 4 * 1024 * 1024 });
await new Promise<void>((resolve) => socket.bind(0, source, resolve));
for (let burst = take(shots, BURST); burst.length > 0; burst = take(shots, BURST)) {
  await Promise.all([...burst.map(shoot), delay(BURST_MS)]);
}
socket.close();
process.stdout.write(`${JSON.stringify(sent)}\n`);

function shoot([reason, datagram]: Shot): Promise<void> {
  sent[reason] = (sent[reason] ?? 0) + 1;
  return new Promise((resolve, reject) =>
    socket.send(datagram, Number(port), address, (error) => (error === null ? resolve() : reject(error))),
  );
}

function* replay(): Generator<Shot> {
  for (const datagram of recorded) yield [datagram[0] === TYPE_TRANSPORT ? 'IN_REPLAY' : 'IN_HANDSHAKE_BAD', datagram];
}

/** Eight kinds in turn, all their other bytes random. */
function* junk(total: number): Generator<Shot> {
  const transport = recorded.find((datagram) => datagram[0] === TYPE_TRANSPORT);
  if (transport === undefined) throw new Error('expected a recorded transport message');
  const receiver = transport.subarray(4, 8);
  for (let shot = 0; shot < total; shot += 1) {
    if (shot % OVERSIZED_EVERY === 0) yield ['IN_BAD_TYPE', bytes(LENGTH_MAX, 0xff)];
    else yield makeJunk(shot % 8, receiver);
  }
}

function makeJunk(kindOfJunk: number, receiver: Buffer): Shot {
  const length = random(2).readUInt16BE() % 1_400;
  const type = 1 + (length % 3);
  switch (kindOfJunk) {
    case 0:
      return ['IN_TOO_SHORT', bytes(length % 32, 1 + (length % 4))];
    case 1:
      return ['IN_BAD_TYPE', bytes(32 + length, 5 + (length % 251))];
    case 2:
      return ['IN_BAD_TYPE', withReserved(bytes(32 + length, 1 + (length % 4)))];
    case 3:
      return ['IN_BAD_LENGTH', bytes(150 + length, type)];
    case 4:
      return ['IN_HANDSHAKE_BAD', bytes(HANDSHAKE_LENGTHS[type] ?? 0, type)];
    case 5:
      return ['IN_UNKNOWN_INDEX', bytes(32 + length, TYPE_TRANSPORT)];
    case 6:
      return ['IN_BAD_TAG', withCounter(bytes(32 + length, TYPE_TRANSPORT, receiver), 0)];
    default:
      return ['IN_COUNTER_LIMIT', withCounter(bytes(32 + length, TYPE_TRANSPORT, receiver), 0xff)];
  }
}

/** A datagram with a message type, reserved bytes of zero, a receiver index if given, and the rest random. */
function bytes(length: number, type: number, receiver?: Buffer): Buffer {
  const datagram = Buffer.from(random(length));
  datagram.fill(0, 0, Math.min(4, length));
  if (length > 0) datagram[0] = type;
  receiver?.copy(datagram, 4);
  return datagram;
}

function withReserved(datagram: Buffer): Buffer {
  datagram[1 + (datagram.length % 3)] = 1 + (datagram.length % 255);
  return datagram;
}

/** Sets the two highest bytes of a transport message's counter (bytes 8 to 15, little-endian). */
function withCounter(datagram: Buffer, high: number): Buffer {
  return datagram.fill(high, 14, 16);
}

function randomBytes(key: string): (length: number) => Buffer {
  const stream = createCipheriv('aes-256-ctr', createHash('sha256').update(key).digest(), Buffer.alloc(16));
  const zeros = Buffer.alloc(LENGTH_MAX);
  return (length) => stream.update(zeros.subarray(0, length));
}

function readRecord(record: Buffer): Buffer[] {
  const datagrams: Buffer[] = [];
  for (let at = 0; at < record.length; ) {
    const length = record.readUInt32BE(at);
    datagrams.push(record.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return datagrams;
}

function take(from: Iterator<Shot>, most: number): Shot[] {
  const taken: Shot[] = [];
  while (taken.length < most) {
    const next = from.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}
