/** TUN: whether an interface can be made, with how many queues, and which super-packets it gives and takes. */
import { TUN_OFFLOAD } from '../native/layout.ts';
import { about, type Finding } from './check.ts';

export interface TunFacts {
  /** Whether /dev/net/tun is there. */
  readonly device: boolean;
  /** Why no interface could be made, with the code of the error; null when it could, or was not tried. */
  readonly problem: { readonly code: string; readonly message: string } | null;
  /** What an interface made for the purpose could do; null where none could be made. */
  readonly features: TunFeatures | null;
}

export interface TunFeatures {
  /** A second queue of the same interface could be opened (IFF_MULTI_QUEUE). */
  readonly multiQueue: boolean;
  /** TUN_OFFLOAD bits that the kernel accepted. */
  readonly offloads: number;
}

const { CSUM, TSO4, TSO6, USO4, USO6 } = TUN_OFFLOAD;

export function judgeTun(facts: TunFacts): Finding[] {
  const device = judgeDevice(facts);
  if (facts.features === null) return [device];
  return [device, judgeOffloads(facts.features.offloads), judgeQueues(facts.features.multiQueue)];
}

function judgeDevice({ device, problem, features }: TunFacts): Finding {
  if (!device)
    return about('tun-device', 'device', '/dev/net/tun is missing').fail(
      'a tunnel is an interface of this device',
      'modprobe tun; in a container: --device /dev/net/tun --cap-add NET_ADMIN',
    );
  if (features !== null)
    return about('tun-device', 'device', '/dev/net/tun').ok('an interface was made with virtio headers, and removed');
  const denied = problem?.code === 'PERMISSION';
  return about('tun-device', 'device', denied ? 'no permission' : 'not usable').fail(
    problem?.message ?? 'it could not be tried without the native addon',
    denied ? 'run as root or with CAP_NET_ADMIN; what the TUN can do was not probed' : 'see the reason',
  );
}

/** Names of the offloads that are in the bits. */
export function tunOffloadNames(bits: number): string[] {
  return Object.entries(TUN_OFFLOAD).flatMap(([name, bit]) => ((bits & bit) === 0 ? [] : [name.toLowerCase()]));
}

function judgeOffloads(bits: number): Finding {
  const names = tunOffloadNames(bits);
  const check = about('tun-offloads', 'super-packets', names.length === 0 ? 'none' : names.join(' '));
  const has = (wanted: number): boolean => (bits & wanted) === wanted;
  if (!has(CSUM | TSO4 | TSO6))
    return check.warn(
      'without TSO each system call on the TUN carries one packet instead of about 45',
      'use a kernel with TUN offloads (TUNSETOFFLOAD: csum, tso4, tso6)',
    );
  if (!has(USO4 | USO6))
    return check.note('TCP moves up to 64 KiB a call, UDP inside one packet a call', 'Linux 6.2 or later has USO');
  return check.ok('one call moves up to 64 KiB, TCP or UDP');
}

function judgeQueues(multiQueue: boolean): Finding {
  if (multiQueue) return about('tun-queues', 'queues', 'several').ok('each lane can have its own');
  return about('tun-queues', 'queues', 'one').note('only one lane can run: no IFF_MULTI_QUEUE', 'use a newer kernel');
}
