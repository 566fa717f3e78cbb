/**
 * A program: a relay of UDP datagrams between one client and one target, as a NAT is. On SIGUSR2 it goes on from another
 * port, as a NAT does that forgot. It writes what the client sent to a file, each datagram behind its length (32 bits,
 * big-endian), so that it can be sent again.
 *
 *     node tunnel-relay.js ADDRESS LISTEN-PORT TARGET-ADDRESS TARGET-PORT RECORD-FILE      until SIGTERM; says `ready`
 */
import { createSocket, type Socket } from 'node:dgram';
import { openSync, writeSync } from 'node:fs';

const [address = '', listenPort = '', targetAddress = '', targetPort = '', recordFile = ''] = process.argv.slice(2);
const record = openSync(recordFile, 'w');
const inside = createSocket('udp4');
let client: { address: string; port: number } | null = null;
let outside = openOutside();

inside.on('message', (datagram, source) => {
  client = source;
  const length = Buffer.alloc(4);
  length.writeUInt32BE(datagram.length);
  writeSync(record, Buffer.concat([length, datagram]));
  outside.send(datagram, Number(targetPort), targetAddress);
});
inside.once('listening', () => process.stderr.write('ready\n')).bind(Number(listenPort), address);

/** The former socket goes with its port: datagrams to it are lost, as with a NAT. */
process.on('SIGUSR2', () => {
  outside.close();
  outside = openOutside();
});
process.once('SIGTERM', () => process.exit(0));

function openOutside(): Socket {
  const socket = createSocket('udp4');
  socket.on('message', (datagram) => {
    if (client !== null) inside.send(datagram, client.port, client.address);
  });
  socket.bind(0, address, () => process.stderr.write(`leaves from ${address}:${socket.address().port}\n`));
  return socket;
}
