/**
 * A program: holds a UDP port and never reads what comes there, until it is ended. A flood to it costs what the machine
 * itself spends on a flood, whoever is attacked.
 *
 *     node unread-end.js PORT
 */
import { openUdp } from '../../native/addon.ts';

const BUFFER_BYTES = 1 << 16;

const sharing = { reusePort: false, joinPort: false, gro: false } as const;
openUdp({ family: 4, port: Number(process.argv[2]), ...sharing, fwmark: 0, bufferLength: BUFFER_BYTES });
process.stdout.write('ready\n');
setInterval(() => undefined, 1_000_000);
