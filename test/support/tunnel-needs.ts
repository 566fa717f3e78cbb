/** What the tests in namespaces need of a machine. A suite that lacks something is skipped under a title that says what. */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from 'vitest';
import { examinePrivilege, judgePrivilege, type Privilege } from '../../src/lab/privilege.ts';

/** Programs and the Debian packages that hold them. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  ethtool: 'ethtool',
  ip: 'iproute2',
  iperf3: 'iperf3',
  iptables: 'iptables',
  nft: 'nftables',
  nsenter: 'util-linux',
  prlimit: 'util-linux',
  ping: 'iputils-ping',
  python3: 'python3',
  setpriv: 'util-linux',
  sysctl: 'procps',
  tc: 'iproute2',
  systemctl: 'systemd',
  'systemd-analyze': 'systemd',
  'systemd-notify': 'systemd',
  tcpdump: 'tcpdump',
  unshare: 'util-linux',
  wg: 'wireguard-tools',
  'wg-quick': 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
};
const BUILT = ['dist/index.js', 'dist/cli/main.js', 'dist/lab/transfer-end.js', 'build/Release/gigatun.node'] as const;

const TEST_TIMEOUT_MS = 60_000;

/** A suite of tests in namespaces; `needs` are the programs that it runs, names of PROGRAMS. */
export function tunnelSuite(title: string, needs: readonly string[], body: () => void): void {
  const missing = missingForTunnels(
    ['ip', ...needs],
    isInPath,
    judgePrivilege(examinePrivilege()),
    BUILT.filter((file) => !existsSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)))),
  );
  const reason = missing.length === 0 ? '' : `, skipped because ${missing.join('; ')}`;
  describe.skipIf(missing.length > 0)(`${title}${reason}`, { timeout: TEST_TIMEOUT_MS }, body);
}

/** One sentence for each thing that is missing. */
export function missingForTunnels(
  programs: readonly string[],
  isPresent: (program: string) => boolean,
  privilege: Privilege,
  unbuilt: readonly string[],
): string[] {
  const missing = programs.filter((program) => !isPresent(program));
  return [
    ...missing.map((program) => `the program ${program} is missing (Debian package ${PROGRAMS[program] ?? program})`),
    ...unbuilt.map((file) => `${file} is not built (npm run build)`),
    ...(privilege.kind === 'missing' ? privilege.reasons : []),
    ...(privilege.kind === 'user-namespace' ? ['this process may not make network namespaces: run it as root'] : []),
  ];
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => isExecutable(`${folder}/${program}`));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
