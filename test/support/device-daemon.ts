/**
 * A program: one device, driven by messages over the channel that its parent made (`remote-device.ts`). It ends with the
 * channel.
 *
 *     { id, method, argument } -> { id, result } or { id, failure: { code, message } }
 */
import { createLogger } from '../../src/control/log.ts';
import { openDevice } from '../../src/device.ts';
import type { Device, DeviceOptions } from '../../src/device-types.ts';
import { GigatunError } from '../../src/errors.ts';
import { openTun } from '../../src/native/addon.ts';
import type { RemoteCall, RemoteOpen } from './remote-device.ts';

let device: Device | null = null;

process.on('message', async (call: RemoteCall) => {
  try {
    process.send?.({ id: call.id, result: await obey(call) });
  } catch (error) {
    const { code, message } = error instanceof GigatunError ? error : { code: 'INTERNAL', message: String(error) };
    process.send?.({ id: call.id, failure: { code, message } });
  }
});
process.on('disconnect', async () => {
  await device?.close();
  process.exit();
});

async function obey(call: RemoteCall): Promise<unknown> {
  if (call.method === 'open') device = await openDevice(optionsOf(call.argument));
  if (device === null) throw new Error('there is no device yet');
  switch (call.method) {
    case 'configure':
      return device.configure(call.argument);
    case 'settings':
      return device.settings();
    case 'status':
      return device.status();
    case 'snapshot':
      return await device.snapshot();
    default:
      return device.name;
  }
}

function optionsOf({ opensTun = null, ...options }: RemoteOpen): DeviceOptions {
  const log = createLogger('info');
  if (opensTun === null) return { ...options, log };
  const { fd } = openTun({ name: options.name, multiQueue: opensTun.multiQueue, offloads: 0 });
  return { ...options, name: '', tunFd: fd, log };
}
