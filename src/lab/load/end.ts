/**
 * A program, not a library: one end of a UDP load.
 *
 *     node end.js receive ADDRESS PORT SECONDS                     ADDRESS only says which IP version
 *     node end.js windowed ADDRESS PORT SECONDS LENGTH
 *     node end.js steps ADDRESS PORT SECONDS LENGTH RATE,RATE,…    SECONDS of each step; RATE 0 is unlimited
 *
 * The receiver says `ready PORT` on standard error; at its end each prints its figures as one line of JSON.
 */
import { receiveLoad } from './receive.ts';
import { sendSteps, sendWindowed } from './send.ts';
import { familyOf } from './socket.ts';

const [role = '', address = '', port = '', seconds = '', length = '', rates = ''] = process.argv.slice(2);
const target = { address, port: Number(port), length: Number(length) };
process.stdout.write(`${JSON.stringify(await run())}\n`);

function run(): unknown {
  switch (role) {
    case 'receive':
      return receiveLoad(familyOf(address), Number(port), Number(seconds), ready);
    case 'windowed':
      return sendWindowed(target, Number(seconds));
    case 'steps':
      return sendSteps(target, rates.split(',').map(Number), Number(seconds));
    default:
      throw new Error(`unknown role ${role}`);
  }
}

function ready(taken: number): void {
  process.stderr.write(`ready ${taken}\n`);
}
