/** Starts what `gigatun daemon` serves: reads its settings, opens the device, its UAPI socket and its control socket. */
import { requireCommand, runCommand } from '../control/command.ts';
import { DEFAULT_MTU } from '../control/config-limits.ts';
import type { DeviceConfig } from '../control/config-types.ts';
import { openDaemon } from '../control/daemon.ts';
import type { Logger } from '../control/log.ts';
import { applyPrivileges, forbidDumps, planPrivileges } from '../control/privileges.ts';
import { runDirectory } from '../control/run-directory.ts';
import { type Device, type DeviceOptions, openDevice } from '../device.ts';
import { GigatunError } from '../errors.ts';
import { linkInfo } from '../native/addon.ts';
import { openUapi } from '../uapi/server.ts';
import { aeadFromEnvironment } from './aead.ts';
import type { DaemonOptions, PassedDescriptors } from './daemon.ts';
import { readDaemonSettings } from './daemon-settings.ts';
import { isDropWanted } from './privilege-options.ts';
import type { Service, ServiceStart } from './serve.ts';
import { packageVersion } from './version.ts';

/** What nobody has said yet. */
const NOTHING: DeviceConfig = { privateKey: null, listenPort: 0, fwmark: 0, peers: [] };
/** What TUNSETIFF says of an interface that is no TUN, or one of another kind. */
const EINVAL = 22;
const ATTACH = 'ioctl TUNSETIFF';

/**
 * Opens a device without configuration and serves its sockets.
 *
 * @throws GigatunError BUSY where the name is taken, PERMISSION, UNSUPPORTED without /dev/net/tun, CONFIG for a setting.
 */
export async function startDaemon(
  name: string,
  options: DaemonOptions,
  { tunFd, uapiFd }: PassedDescriptors,
  { log, signal }: ServiceStart,
): Promise<Service> {
  forbidDumps();
  const request = { name, directory: runDirectory(), version: packageVersion(), log, signal };
  const daemon = await openDaemon(request, {
    openDevice: () => openEmptyDevice(name, options, tunFd, log),
    openUapi: (device, onRemoved) =>
      openUapi({ name, device, onRemoved, log, ...(uapiFd === null ? {} : { fd: uapiFd }) }),
    run: runCommand,
  });
  // `wg` may set any port.
  const needs = { listenPort: 0, portMayChange: true, commands: [], drop: isDropWanted(options) };
  applyPrivileges(planPrivileges({ ...needs, sudo: process.env.WG_SUDO }), log);
  return { name, fields: {}, closed: daemon.closed, close: (end) => daemon.close(end) };
}

async function openEmptyDevice(
  name: string,
  { lanes, memory }: DaemonOptions,
  tunFd: number | null,
  log: Logger,
): Promise<Device> {
  const settings = readDaemonSettings(process.env);
  const isOthers = tunFd !== null || exists(name);
  const device = await openOrExplain({
    ...{ name, config: NOTHING, log, socketsFollowLink: true, aead: aeadFromEnvironment(process.env.GIGATUN_AEAD) },
    ...settings,
    ...(lanes === undefined ? {} : { lanes }),
    ...(memory === undefined ? {} : { memoryCapBytes: memory }),
    ...(tunFd === null ? {} : { tunFd }),
  });
  if (!isOthers) await setMtu(device);
  return device;
}

async function openOrExplain(options: DeviceOptions): Promise<Device> {
  try {
    return await openDevice(options);
  } catch (error) {
    if (!(error instanceof GigatunError) || error.errno !== EINVAL || error.syscall !== ATTACH) throw error;
    const what = `an interface ${options.name} exists already that is no TUN for this program`;
    throw new GigatunError('BUSY', `${what}; choose another name, or: ip link delete dev ${options.name}`, {
      cause: error,
    });
  }
}

/** The kernel makes interfaces with 1500; programs that set none expect WireGuard's. */
async function setMtu(device: Device): Promise<void> {
  try {
    const args = ['link', 'set', 'dev', device.name, 'mtu', `${DEFAULT_MTU}`];
    await requireCommand(runCommand, { program: 'ip', args });
  } catch (error) {
    await device.close();
    throw error;
  }
}

function exists(name: string): boolean {
  try {
    return linkInfo(-1, name, -1).index > 0;
  } catch {
    return false;
  }
}
