/** ICMP echoes over IPv4 as bytes: the smallest packets that another stack answers (RFC 791, RFC 792). */

const IP_LENGTH = 20;
const ICMP_LENGTH = 8;
const PROTOCOL_ICMP = 1;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;

/** An echo request of 28 bytes; addresses are dotted. */
export function echoRequest(source: string, destination: string): Uint8Array {
  const packet = new Uint8Array(IP_LENGTH + ICMP_LENGTH);
  const view = new DataView(packet.buffer);
  packet.set([0x45, 0, 0, packet.length, 0, 0, 0, 0, 64, PROTOCOL_ICMP]);
  packet.set(bytesOf(source), 12);
  packet.set(bytesOf(destination), 16);
  packet[IP_LENGTH] = ECHO_REQUEST;
  view.setUint16(10, checksum(view, 0, IP_LENGTH));
  view.setUint16(IP_LENGTH + 2, checksum(view, IP_LENGTH, packet.length));
  return packet;
}

/** Whether these bytes are an echo reply from one dotted address to another. */
export function isEchoReply(packet: Uint8Array, source: string, destination: string): boolean {
  if (packet.length < IP_LENGTH + ICMP_LENGTH || packet[0] !== 0x45 || packet[9] !== PROTOCOL_ICMP) return false;
  const addresses = [...bytesOf(source), ...bytesOf(destination)];
  return packet[IP_LENGTH] === ECHO_REPLY && addresses.every((byte, at) => packet[12 + at] === byte);
}

function bytesOf(address: string): number[] {
  return address.split('.').map(Number);
}

/** The internet checksum (RFC 1071) over an even number of bytes. */
function checksum(view: DataView, start: number, end: number): number {
  let sum = 0;
  for (let at = start; at < end; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
