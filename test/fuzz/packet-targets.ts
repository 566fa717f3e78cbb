/** Fuzz targets of what comes from the TUN and what goes to it: virtio and IP headers, splitting, coalescing. */
import { SEAL } from '../../src/native/layout.ts';
import { OutboundBatch } from '../../src/outbound/batch.ts';
import { INSPECT, inspect, SuperPacket, splitSegments } from '../../src/outbound/split.ts';
import { LIMIT } from '../../src/packet/arena.ts';
import { ipPacketLength } from '../../src/packet/ip-header.ts';
import { encodePacket, type Packet } from '../reference/ip.ts';
import { splitSuperPacket } from '../reference/split.ts';
import { bytesFrom, ipv4Header, ipv6Header, tcpHeader } from '../support/arbitrary-packets.ts';
import { Coalescing } from '../support/coalescing.ts';
import { FakeLane } from '../support/fake-lane.ts';
import { packetsOf, withoutId } from '../support/tun-writes.ts';
import { superFromTun, unsummedFromTun } from '../support/virtio.ts';
import { mutateBytes, type Random } from './random.ts';
import { expectThat, type Target } from './target.ts';

const VIRTIO_LENGTH = 10;
const PAYLOAD_MAX = 3_000;

/** Super-packets, whole and mutated, through inspection and splitting. */
export const superPackets: Target = {
  name: 'super-packets',
  what: 'mutated reads of the TUN: segments lie within the read and hold all of its payload once; unchanged ones equal the slow twin',
  weight: 8,
  open: openSuperPackets,
};

function openSuperPackets(): (random: Random) => void {
  const lane = new FakeLane();
  lane.addon.keys.set(0, new Uint8Array(32));
  const packet = new SuperPacket();
  return (random) => {
    const whole = anyPacket(random);
    const gsoSize = 1 + Math.max(Math.ceil(whole.payload.length / 100), random.below(1_400));
    const original = random.oneIn(4) ? unsummedFromTun(whole) : superFromTun(whole, gsoSize);
    const isChanged = !random.oneIn(16);
    const read = isChanged ? mutateHead(random, original) : original;
    const offset = lane.arena.tunIn + 16 - VIRTIO_LENGTH;
    lane.arena.bytes.set(read, offset);
    const verdict = inspect(packet, lane.arena.view, offset, read.length);
    if (verdict !== INSPECT.OK) {
      expectThat(isChanged, 'a good read was refused', () => read);
      return;
    }
    expectThat(packet.segments >= 1, 'a packet of no segments', () => read);
    const seals = splitAll(packet, lane);
    checkPlaces(seals, lane, offset, read);
    if (!isChanged && original[1] !== 0) checkAgainstTwin(lane, seals, whole, gsoSize, read);
  };
}

/** Most changes hit the headers, where the decisions are. */
function mutateHead(random: Random, read: Uint8Array): Uint8Array {
  if (random.oneIn(8)) return mutateBytes(random, read);
  const copy = Uint8Array.from(read);
  for (let changes = 1 + random.below(4); changes > 0; changes -= 1) {
    const at = random.below(Math.min(copy.length, 80));
    copy[at] = random.oneIn(2) ? random.pick([0, 1, 4, 5, 6, 17, 0x45, 0x60, 0x80, 0xff]) : random.word() & 255;
  }
  return random.oneIn(4) ? copy.slice(0, random.below(copy.length + 1)) : copy;
}

interface Seal {
  readonly head: number;
  readonly headLength: number;
  readonly payload: number;
  readonly payloadLength: number;
  readonly start: number;
  readonly field: number;
}

function splitAll(packet: SuperPacket, { arena }: FakeLane): Seal[] {
  const batch = new OutboundBatch(arena);
  splitSegments(packet, batch, arena, 0, Math.min(packet.segments, LIMIT.SEALS));
  return Array.from({ length: batch.segments }, (_, segment) => {
    const at = (arena.seals >> 2) + segment * SEAL.WORDS;
    const word = (column: number): number => arena.words[at + column] ?? 0;
    return {
      ...{ head: word(SEAL.HEAD_OFFSET), headLength: word(SEAL.HEAD_LENGTH) },
      ...{ payload: word(SEAL.PAYLOAD_OFFSET), payloadLength: word(SEAL.PAYLOAD_LENGTH) },
      ...{ start: word(SEAL.CHECKSUM_START), field: word(SEAL.CHECKSUM_FIELD) },
    };
  });
}

function checkPlaces(seals: readonly Seal[], { arena }: FakeLane, offset: number, read: Uint8Array): void {
  const end = offset + read.length;
  let next = -1;
  for (const { head, headLength, payload, payloadLength, start, field } of seals) {
    const length = headLength + payloadLength;
    const inRead = head >= offset && head + headLength <= end;
    const headersEnd = arena.segmentHeaders + arena.segmentHeadersLength;
    const inHeaders = head >= arena.segmentHeaders && head + headLength <= headersEnd;
    expectThat(headLength > 0 && (inRead || inHeaders), 'a header lies elsewhere', () => read);
    expectThat(
      payloadLength >= 0 && payload >= offset && payload + payloadLength <= end,
      'a payload lies elsewhere',
      () => read,
    );
    expectThat(seals.length === 1 || next < 0 || payload === next, 'payloads leave a gap', () => read);
    expectThat(
      start === -1 || (start >= 0 && start <= length && field >= 0 && field + 2 <= length),
      'a checksum lies elsewhere',
      () => read,
    );
    next = payload + payloadLength;
  }
}

function checkAgainstTwin(
  lane: FakeLane,
  seals: readonly Seal[],
  whole: Packet,
  gsoSize: number,
  read: Uint8Array,
): void {
  const { arena } = lane;
  let out = arena.udpOut;
  const outs = seals.map(({ headLength, payloadLength }, segment) => {
    const at = (arena.seals >> 2) + segment * SEAL.WORDS;
    const length = headLength + payloadLength;
    arena.words[at + SEAL.KEY_SLOT] = 0;
    arena.words[at + SEAL.PADDED_LENGTH] = length;
    arena.words[at + SEAL.OUT_OFFSET] = out;
    out += length + 16;
    return { at: out - length - 16, length };
  });
  lane.addon.seal(lane.context.handle, arena.seals, seals.length, 0);
  const segments = outs.map(({ at, length }) => Buffer.from(arena.bytes.slice(at, at + length)).toString('hex'));
  const expected = splitSuperPacket(whole, gsoSize).map((segment) =>
    Buffer.from(encodePacket(segment)).toString('hex'),
  );
  expectThat(segments.join() === expected.join(), 'segments differ from the slow twin', () => read);
}

/** The length of an inner packet as its header has it. */
export const innerHeaders: Target = {
  name: 'inner-headers',
  what: 'mutated inner packets: their length is refused, or lies between a header and what there is',
  weight: 25,
  open: () => (random) => {
    const bytes = mutateHead(random, encodePacket(anyPacket(random, 60)));
    const length = ipPacketLength(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    const least = (bytes[0] ?? 0) >> 4 === 4 ? 20 : 40;
    expectThat(length < 0 || (length >= least && length <= bytes.length), `a length of ${length}`, () => bytes);
  },
};

/** Flows in which segments follow each other, mutated here and there: what is written, cut again, is what came. */
export const coalescing: Target = {
  name: 'coalescing',
  what: 'runs of TCP and UDP packets, mutated here and there: what is written, cut again by the slow twin, is what came in',
  weight: 3,
  open: () => {
    const both = [new Coalescing(false), new Coalescing(true)] as const;
    return (random) => {
      const packets = flow(random);
      const written = random.pick(both).take(packets).flatMap(packetsOf);
      const sorted = (list: readonly Uint8Array[]): string =>
        list
          .map((one) => Buffer.from(withoutId(one)).toString('hex'))
          .sort()
          .join();
      expectThat(sorted(written) === sorted(packets), 'other packets came out than went in', () =>
        packets.map((packet) => Buffer.from(packet).toString('hex')),
      );
    };
  },
};

function flow(random: Random): Uint8Array[] {
  const isTcp = random.oneIn(2);
  const length = 1 + random.below(400);
  const version = random.oneIn(2) ? 4 : 6;
  return Array.from({ length: 2 + random.below(10) }, (_, at) => {
    const ip = { ...(version === 4 ? ipv4Header(1, 2) : ipv6Header(1, 2)), id: at };
    const payload = bytesFrom(at + 1, random.oneIn(8) ? 1 + random.below(length) : length);
    const packet: Packet = isTcp
      ? { kind: 'tcp', ip, tcp: tcpHeader({ sequence: 1_000 + at * length }), payload }
      : { kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload };
    const bytes = encodePacket(packet);
    if (!random.oneIn(5)) return bytes;
    const changed = Uint8Array.from(bytes);
    // Lengths stay: packets come to coalescing with the length that their header says.
    const at6 = 4 + random.below(Math.min(60, bytes.length - 4));
    if (version === 6 && (at6 === 4 || at6 === 5)) return bytes;
    changed[at6] = (changed[at6] ?? 0) ^ (1 << random.below(8));
    return changed;
  });
}

function anyPacket(random: Random, payloadMax = PAYLOAD_MAX): Packet {
  const ip = random.oneIn(2) ? ipv4Header(1, 2) : ipv6Header(1, 2);
  const payload = bytesFrom(random.word(), 1 + random.below(payloadMax));
  if (random.oneIn(2)) return { kind: 'udp', ip, sourcePort: 1, destinationPort: 2, payload };
  return {
    kind: 'tcp',
    ip,
    tcp: tcpHeader({ sequence: random.word(), options: new Uint8Array(4 * random.below(4)).fill(1) }),
    payload,
  };
}
