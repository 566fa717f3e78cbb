/**
 * What set-up decides, as pure functions: which programs and headers a task needs, what to do about missing ones, and
 * whether what is installed or built still fits its sources. setup.mjs looks at the machine and acts.
 */

/** Oldest Node.js that works, as [major, minor]. */
export const NODE_LEAST = [20, 19];

/**
 * Everything gigatun needs from outside npm. `find` is a program's name, a header's path under the include directories, or a library;
 * `tasks` are those that fail without it, `wishedBy` those that are only slower, or skip
 * a test.
 */
const NEEDS = [
  need('cc', 'gcc', 'compiles the native layer', ['demo', 'test', 'bench']),
  need('c++', 'g++', 'node-gyp asks for it', ['demo', 'test', 'bench']),
  need('make', 'make', 'node-gyp builds with it', ['demo', 'test', 'bench']),
  need('python3', 'python3', 'node-gyp is written in it', ['demo', 'test', 'bench']),
  need('ip', 'iproute2', 'makes namespaces, addresses and routes', ['demo', 'test', 'bench']),
  need('iperf3', 'iperf3', 'makes the load', ['demo', 'test', 'bench']),
  need('ping', 'iputils-ping', 'measures round trips', ['demo', 'test', 'bench']),
  need('wireguard-go', 'wireguard-go', 'the other implementation, to talk to and to compare with', ['test', 'bench']),
  need('wg', 'wireguard-tools', 'configures tunnels', ['test', 'bench']),
  need('nft', 'nftables', 'makes packet loss, marks and floods', ['test', 'bench']),
  need('tcpdump', 'tcpdump', 'sees what leaves a host', ['test']),
  need('iptables', 'iptables', 'is what wg-quick uses where there is no nft', ['test']),
  need('clang', 'clang', 'fuzzes the C core, by libFuzzer', ['test']),
  {
    ...need('libclang_rt.fuzzer', 'libclang-rt-dev', 'is libFuzzer, where clang comes without', []),
    wishedBy: ['test'],
  },
  need('systemd-analyze', 'systemd', 'checks the units, and runs them in namespaces of its own', ['test']),
  need('sysctl', 'procps', 'sets up hosts of one family', ['test']),
  need('ethtool', 'ethtool', 'switches offloads of veth pairs', ['test', 'bench']),
  need('openssl/evp.h', 'libssl-dev', 'the C tests link against it', ['test', 'bench']),
  {
    ...need('libIPSec_MB.so.1', 'libipsec-mb1', 'the faster AEAD back end, tested too', ['test', 'bench']),
    arch: 'x64',
    wishedBy: ['demo'],
  },
  { ...need('intel-ipsec-mb.h', 'libipsec-mb-dev', 'the measuring rod is built on it', ['bench']), arch: 'x64' },
];

function need(find, debianPackage, purpose, tasks) {
  return { find, package: debianPackage, purpose, tasks };
}

export const TASKS = ['demo', 'test', 'bench'];

/** Needs of a task that `isPresent(find)` denies. */
export function missingNeeds(task, arch, isPresent) {
  const needs = NEEDS.filter((one) => one.tasks.includes(task) && (one.arch === undefined || one.arch === arch));
  return needs.filter((one) => !isPresent(one.find));
}

/** What would make a task faster or more complete, and `isPresent(find)` denies. */
export function missingWishes(task, arch, isPresent) {
  const wishes = NEEDS.filter(({ wishedBy = [], arch: only = arch }) => wishedBy.includes(task) && only === arch);
  return wishes.filter((one) => !isPresent(one.find));
}

/** What to do about missing needs: nothing, install packages, or tell the user. */
export function planPackages(missing, { isRoot, hasAptGet }) {
  if (missing.length === 0) return { kind: 'nothing' };
  const packages = [...new Set(missing.map((one) => one.package))];
  if (isRoot && hasAptGet) return { kind: 'install', packages };
  return { kind: 'tell', packages, text: tell(missing, packages, hasAptGet) };
}

function tell(missing, packages, hasAptGet) {
  const lines = missing.map((one) => `  ${one.find.padEnd(18)} Debian package ${one.package}: ${one.purpose}`);
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`;
  const advice = hasAptGet
    ? `Install them with\n\n  sudo ${command}\n\nor run this as root, which does it for you.`
    : 'Install what your system calls these packages, and run this again.';
  return `These are missing:\n\n${lines.join('\n')}\n\n${advice}`;
}

/** Whether a version such as 'v20.11.1' is new enough. */
export function isNodeNewEnough(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  return major > NODE_LEAST[0] || (major === NODE_LEAST[0] && minor >= NODE_LEAST[1]);
}

/**
 * Whether node_modules holds what package-lock.json asks for. `installed` is npm's own node_modules/.package-lock.json.
 * Optional packages may be missing: they are those of other platforms.
 */
export function isInstallCurrent(lock, installed) {
  const have = installed?.packages ?? {};
  const wanted = Object.entries(lock.packages).filter(([path]) => path !== '');
  return (
    wanted.every(([path, one]) =>
      have[path] === undefined ? one.optional === true : have[path].version === one.version,
    ) && Object.keys(have).every((path) => lock.packages[path] !== undefined)
  );
}
