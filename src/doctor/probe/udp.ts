/**
 * Probe of UDP: two pairs of sockets as a lane opens them, on ports that the kernel chooses, and as many datagrams as one
 * send may carry sent from one to the other over loopback, as one group.
 */
import { asGigatunError } from '../../control/system-error.ts';
import { ACTIVITY } from '../../ledger/catalog.ts';
import { BOOKS, ENDPOINT, READY, UDP_RECEIVE, UDP_SEND } from '../../native/layout.ts';
import type { LaneHandle, UdpOpened } from '../../native/types.ts';
import type { LaneSockets } from '../../sockets.ts';
import type { UdpExchange, UdpFacts, UdpFamilyFacts } from '../udp.ts';
import { type Host, readNumber } from './host.ts';
import type { Addon, NativeTools } from './native.ts';

const DATAGRAM_LENGTH = 400;
/** How long datagrams may take over loopback, and how often their socket is looked at: a full core can hold them up. */
const ARRIVAL_LIMIT_MS = 50;
const LOOKS_MAX = 10;

/** Offsets in the probe's arena, bytes. */
const SEND_AT = 0;
const ENDPOINT_AT = 64;
const RECEIVES_AT = 256;
const RECEIVES_MAX = 160;
const PAYLOAD_AT = 16_384;
const BUFFER_AT = 131_072;
const BUFFER_LENGTH = 1 << 20;

export function probeUdp(host: Host, tools: NativeTools | null): UdpFacts {
  const limits = {
    bufferBytesWanted: tools?.bufferBytesWanted ?? 0,
    receiveBytesMax: readNumber(host, '/proc/sys/net/core/rmem_max'),
    sendBytesMax: readNumber(host, '/proc/sys/net/core/wmem_max'),
  };
  if (tools === null) return { problem: 'not probed without the native addon', families: [], ...limits };
  try {
    return { problem: null, families: probeFamilies(tools), ...limits };
  } catch (error) {
    return { problem: asGigatunError(error, 'probe UDP').message, families: [], ...limits };
  }
}

function probeFamilies({ addon, openSockets, closeLaneSockets }: NativeTools): UdpFamilyFacts[] {
  const opened: LaneSockets[] = [];
  try {
    for (let side = 0; side < 2; side += 1) opened.push(...openSockets(1, 0, 0).lanes);
    const [sender, receiver] = opened;
    if (sender === undefined || receiver === undefined) return [];
    return ([4, 6] as const).flatMap((family) => {
      const [from, to] = family === 4 ? [sender.ipv4, receiver.ipv4] : [sender.ipv6, receiver.ipv6];
      return from === null || to === null ? [] : [familyFacts(addon, family, from, to)];
    });
  } finally {
    for (const sockets of opened) closeLaneSockets(sockets);
  }
}

function familyFacts(addon: Addon, family: 4 | 6, from: UdpOpened, to: UdpOpened): UdpFamilyFacts {
  return {
    family,
    receiveBufferBytes: to.receiveBufferLength,
    sendBufferBytes: from.sendBufferLength,
    datagramsMax: from.gsoDatagramsMax,
    exchange: from.gsoDatagramsMax > 1 ? exchange(addon, family, from, to) : null,
  };
}

/** Sends the largest group and receives until all of it is there or nothing more comes. */
function exchange(addon: Addon, family: 4 | 6, from: UdpOpened, to: UdpOpened): UdpExchange {
  const words = new Int32Array(new SharedArrayBuffer(BUFFER_AT + BUFFER_LENGTH));
  const sender = openProbe(addon, words, family, from.fd);
  const receiver = openProbe(addon, words, family, to.fd);
  const datagramsSent = from.gsoDatagramsMax;
  try {
    describeGroup(words, family, to.port, datagramsSent);
    addon.sendUdp(sender, SEND_AT, 1, ACTIVITY.USER_CONTROL);
    const result = words[(SEND_AT >> 2) + UDP_SEND.RESULT] ?? -1;
    const back = result < 0 ? { datagramsReceived: 0, receives: 0 } : receive(addon, receiver, words, family);
    return { errno: Math.max(0, -result), datagramsSent, ...back };
  } finally {
    addon.closeLane(sender);
    addon.closeLane(receiver);
  }
}

function openProbe(addon: Addon, words: Int32Array, family: 4 | 6, fd: number): LaneHandle {
  const fds = { tunFd: -1, udp4Fd: family === 4 ? fd : -1, udp6Fd: family === 6 ? fd : -1 };
  const books = new Float64Array(BOOKS.CELLS);
  return addon.openLane({ arena: new Uint8Array(words.buffer), books, ...fds, aead: 'openssl', bookTime: false })
    .handle;
}

function describeGroup(words: Int32Array, family: 4 | 6, port: number, datagrams: number): void {
  words[(ENDPOINT_AT >> 2) + ENDPOINT.FAMILY] = family;
  words[(ENDPOINT_AT >> 2) + ENDPOINT.PORT] = port;
  const loopback = family === 4 ? [127, 0, 0, 1] : [...new Array<number>(15).fill(0), 1];
  new Uint8Array(words.buffer).set(loopback, ENDPOINT_AT + ENDPOINT.ADDRESS * 4);
  const send = SEND_AT >> 2;
  words[send + UDP_SEND.OFFSET] = PAYLOAD_AT;
  words[send + UDP_SEND.LENGTH] = datagrams * DATAGRAM_LENGTH;
  words[send + UDP_SEND.SEGMENT_LENGTH] = DATAGRAM_LENGTH;
  words[send + UDP_SEND.TRAFFIC_CLASS] = -1;
  words[send + UDP_SEND.ENDPOINT_OFFSET] = ENDPOINT_AT;
}

/** Counts what comes to the port, which nobody else knows. */
function receive(
  addon: Addon,
  handle: LaneHandle,
  words: Int32Array,
  family: 4 | 6,
): { datagramsReceived: number; receives: number } {
  let datagramsReceived = 0;
  let receives = 0;
  const wanted = words[(SEND_AT >> 2) + UDP_SEND.LENGTH] ?? 0;
  for (let looks = 0; looks < LOOKS_MAX && datagramsReceived * DATAGRAM_LENGTH < wanted; looks += 1) {
    addon.wait(handle, ARRIVAL_LIMIT_MS, family === 4 ? READY.UDP4 : READY.UDP6, ACTIVITY.USER_CONTROL);
    const at = [RECEIVES_AT, RECEIVES_MAX, BUFFER_AT, BUFFER_LENGTH] as const;
    const count = addon.receiveUdp(handle, family, ...at, ACTIVITY.USER_CONTROL);
    for (let index = 0; index < count; index += 1) {
      const descriptor = (RECEIVES_AT >> 2) + index * UDP_RECEIVE.WORDS;
      datagramsReceived += Math.ceil((words[descriptor + UDP_RECEIVE.LENGTH] ?? 0) / DATAGRAM_LENGTH);
    }
    receives += count;
  }
  return { datagramsReceived, receives };
}
