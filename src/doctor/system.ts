/** System: kernel, Node, the native addon, the programs and limits that `gigatun up` needs. Facts in, findings out. */
import { formatBytes } from '../ledger/table.ts';
import { about, type Finding } from './check.ts';

export interface SystemFacts {
  /** As uname says it, such as '6.1.0-18-amd64'. */
  readonly kernel: string;
  /** Such as 'v20.19.0'. */
  readonly node: string;
  readonly architecture: string;
  /** What the native addon's loading failed with; null when it is there. */
  readonly addonProblem: string | null;
  /** Whether iproute2's `ip` is in the PATH. */
  readonly ipProgram: boolean;
  /** Soft limit of open files; null where unknown or unlimited. */
  readonly openFilesMax: number | null;
  readonly memory: MemoryFacts;
}

export interface MemoryFacts {
  /** Bytes that the kernel could give out now (MemAvailable); null where unknown. */
  readonly availableBytes: number | null;
  /** The tightest cgroup limit, bytes; null for none. */
  readonly limitBytes: number | null;
  /** What that cgroup uses now, bytes; null where unknown. */
  readonly usedBytes: number | null;
}

/** Oldest Node that package.json admits. */
const NODE_OLDEST: readonly [number, number] = [20, 19];
/** A tunnel under full load stays below 100 MB; the rest is room for a second one, or for the garbage collector. */
const MEMORY_BYTES_MIN = 150e6;
/** Sixty-four lanes with five descriptors each, and Node's own. */
const OPEN_FILES_MIN = 512;

export function judgeSystem(facts: SystemFacts): Finding[] {
  return [
    judgeKernel(facts.kernel),
    judgeNode(facts.node),
    judgeAddon(facts),
    judgeIpProgram(facts.ipProgram),
    judgeMemory(facts.memory),
    judgeOpenFiles(facts.openFilesMax),
  ];
}

/** UDP GSO came with Linux 4.18, UDP GRO with 5.0, USO of the TUN with 6.2; what is really there is probed elsewhere. */
function judgeKernel(kernel: string): Finding {
  const check = about('kernel', 'kernel', `Linux ${kernel}`);
  const version = versionOf(kernel);
  if (version === null) return check.note('its version could not be read; the probes below tell what it can do');
  if (isAtLeast(version, [6, 2])) return check.ok('new enough for every offload that gigatun uses');
  if (isAtLeast(version, [5, 0]))
    return check.note('UDP inside the tunnel is not segmented by the TUN before Linux 6.2', 'use Linux 6.2 or later');
  return check.warn('UDP GSO came with Linux 4.18 and UDP GRO with 5.0', 'use Linux 5.0, better 6.2, or later');
}

function judgeNode(node: string): Finding {
  const check = about('node', 'Node', node);
  const version = versionOf(node);
  const oldest = NODE_OLDEST.join('.');
  if (version !== null && isAtLeast(version, NODE_OLDEST)) return check.ok(`${oldest} or later, as gigatun needs`);
  return check.fail(`gigatun needs Node ${oldest} or later`, `install Node ${oldest} or later`);
}

function judgeAddon({ addonProblem, architecture }: SystemFacts): Finding {
  if (addonProblem === null) return about('addon', 'native addon', architecture).ok('loaded');
  return about('addon', 'native addon', 'missing').fail(addonProblem, 'build it: npm run build:native');
}

function judgeIpProgram(present: boolean): Finding {
  if (present) return about('ip-program', 'iproute2', 'installed').ok('gigatun up sets addresses and routes with it');
  return about('ip-program', 'iproute2', 'missing').fail(
    'gigatun up sets addresses and routes with ip',
    'apt-get install iproute2, or what your system calls it',
  );
}

/** What can still be had: the smaller of what the kernel and what the cgroup has left. */
function judgeMemory({ availableBytes, limitBytes, usedBytes }: MemoryFacts): Finding {
  const left = limitBytes === null || usedBytes === null ? limitBytes : Math.max(0, limitBytes - usedBytes);
  const room = Math.min(availableBytes ?? Number.POSITIVE_INFINITY, left ?? Number.POSITIVE_INFINITY);
  const limit = limitBytes === null ? 'no cgroup limit' : `cgroup limit ${formatBytes(limitBytes)}`;
  const free = Number.isFinite(room) ? `${formatBytes(room)} free, ` : '';
  const check = about('memory', 'memory', `${free}${limit}`);
  if (room >= MEMORY_BYTES_MIN) return check.ok('a tunnel at full load takes less than 100 MB');
  return check.warn(
    'a tunnel at full load takes up to 100 MB; beyond its limit it is killed',
    limitBytes === null ? 'free some memory' : "raise the cgroup's memory limit to 256 MB or more",
  );
}

function judgeOpenFiles(max: number | null): Finding {
  const check = about('open-files', 'open files', max === null ? 'no limit' : `at most ${max}`);
  if (max === null || max >= OPEN_FILES_MIN) return check.ok('enough for 64 lanes; gigatun locks no memory');
  return check.note('each lane holds five descriptors', `ulimit -n ${OPEN_FILES_MIN}, or LimitNOFILE= in the unit`);
}

/** Major and minor of 'v20.19.0' or '6.1.0-18-amd64'. */
function versionOf(text: string): [number, number] | null {
  const match = /^v?(\d{1,6})\.(\d{1,6})/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2])];
}

function isAtLeast([major, minor]: readonly [number, number], [wantedMajor, wantedMinor]: readonly [number, number]) {
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
