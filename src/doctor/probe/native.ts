/**
 * Probes that need the native addon: a TUN interface that is made and removed, groups of datagrams over loopback, each
 * AEAD back end opened and timed. All is done with the verbs and the openers of the data path, so that what is found here
 * is what a tunnel gets. What a probe opens it closes before it returns.
 */

import { messageOf } from '../../control/system-error.ts';
import type { closeLaneSockets, openSockets } from '../../sockets.ts';

export type Addon = typeof import('../../native/addon.ts');

/** What the probes use of the product. */
export interface NativeTools {
  readonly addon: Addon;
  readonly openSockets: typeof openSockets;
  readonly closeLaneSockets: typeof closeLaneSockets;
  readonly bufferBytesWanted: number;
}

/** Loads the addon, or says what it failed with: a machine without a build is one of the doctor's patients. */
export async function loadNative(): Promise<NativeTools | string> {
  try {
    const addon = await import('../../native/addon.ts');
    const { openSockets, closeLaneSockets, SOCKET_BUFFER_BYTES } = await import('../../sockets.ts');
    return { addon, openSockets, closeLaneSockets, bufferBytesWanted: SOCKET_BUFFER_BYTES };
  } catch (error) {
    return messageOf(error);
  }
}
