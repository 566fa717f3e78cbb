/**
 * A program: `gigatun up FILE --foreground` with the protocol's times given on the command line, so that keypairs change
 * every few seconds. Everything else is the program's own: configuration, link, control socket.
 *
 *     node tunnel-daemon.js FILE LANES TIMING-AS-JSON
 */
import { runCommand } from '../../src/control/command.ts';
import { loadConfig } from '../../src/control/config-load.ts';
import { createLogger } from '../../src/control/log.ts';
import { runDirectory } from '../../src/control/run-directory.ts';
import { bringUp } from '../../src/control/tunnel.ts';
import { openTimedDevice } from '../../src/device.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';

const [file = '', lanes = '1', timing = '{}'] = process.argv.slice(2);
const { name, config } = loadConfig(file);
const log = createLogger('info');
const stop = new AbortController();
const request = {
  name,
  config,
  lanes: Number(lanes),
  mtu: null,
  directory: runDirectory(),
  version: 'test',
  log,
  report: (text: string) => log.info(text),
  signal: stop.signal,
};
const timed = { ...WIREGUARD_TIMING, ...(JSON.parse(timing) as object) };
const tunnel = await bringUp(request, {
  openDevice: (device) => openTimedDevice(device, timed),
  run: runCommand,
});
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.on(signal, () => void tunnel.close({ reason: signal, error: null }));
const { error } = await tunnel.closed;
process.exit(error === null ? 0 : 1);
