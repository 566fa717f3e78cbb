/**
 * May this process make network namespaces and TUN interfaces? As root it may; otherwise a user namespace can serve, in
 * which this program runs itself again as that namespace's root; otherwise the report says what is missing.
 */

import { spawn, spawnSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';

const INSIDE = 'GIGATUN_LAB_USER_NAMESPACE';
/** Bits of the capability sets (capabilities(7)). */
const CAP_NET_ADMIN = 1n << 12n;
const CAP_SYS_ADMIN = 1n << 21n;

export interface PrivilegeFacts {
  /** CAP_NET_ADMIN and CAP_SYS_ADMIN are both effective. */
  readonly capable: boolean;
  /** null when /dev/net/tun can be opened, else why it cannot. */
  readonly tunError: string | null;
  /** null when a user namespace with its own network and mounts can be made, else why it cannot. */
  readonly userNamespaceError: string | null;
}

export type Privilege =
  | { readonly kind: 'own' }
  | { readonly kind: 'user-namespace' }
  | { readonly kind: 'missing'; readonly reasons: readonly string[] };

/** What the facts allow. */
export function judgePrivilege(facts: PrivilegeFacts): Privilege {
  const reasons: string[] = [];
  if (facts.tunError !== null) reasons.push(`/dev/net/tun cannot be opened: ${facts.tunError}`);
  if (!facts.capable && facts.userNamespaceError !== null) {
    reasons.push('CAP_NET_ADMIN and CAP_SYS_ADMIN are missing: run as root');
    reasons.push(`a user namespace cannot be made instead: ${facts.userNamespaceError}`);
  }
  if (reasons.length > 0) return { kind: 'missing', reasons };
  return { kind: facts.capable ? 'own' : 'user-namespace' };
}

/** Looks at this process and machine. Makes nothing that stays. */
export function examinePrivilege(): PrivilegeFacts {
  const capable = isCapable(readFileSync('/proc/self/status', 'utf8'));
  return { capable, tunError: tunError(), userNamespaceError: capable ? null : userNamespaceError() };
}

/** From the text of /proc/PID/status. */
export function isCapable(status: string): boolean {
  const effective = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return (effective & CAP_NET_ADMIN) !== 0n && (effective & CAP_SYS_ADMIN) !== 0n;
}

function tunError(): string | null {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    closeSync(openSync('/dev/net/tun', 'r+'));
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const UNSHARE = ['--user', '--map-root-user', '--net', '--mount'];
/** `ip netns` keeps its names under /run, which only the real root may write to: the copy gets its own. */
const OWN_RUN = 'mount -t tmpfs tmpfs /run && exec "$@"';

function userNamespaceError(): string | null {
  const probe = spawnSync('unshare', [...UNSHARE, 'sh', '-c', OWN_RUN, 'sh', 'ip', 'netns', 'add', 'probe'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  if (probe.status === 0) return null;
  return probe.error?.message ?? probe.stderr.trim();
}

/** True in a process that `rerunInUserNamespace` started. */
export function isInsideUserNamespace(): boolean {
  return process.env[INSIDE] === '1';
}

/**
 * Runs this very program, with the same arguments, as root of a new user namespace; resolves with its exit status when it
 * ends. Signals reach it through the terminal's process group; SIGTERM is passed on.
 */
export function rerunInUserNamespace(): Promise<number> {
  const again = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const child = spawn('unshare', [...UNSHARE, 'sh', '-c', OWN_RUN, 'sh', ...again], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  const passOn = (signal: NodeJS.Signals) => void child.kill(signal);
  const waitOnly = () => {};
  process.on('SIGTERM', passOn).on('SIGINT', waitOnly);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGTERM', passOn).off('SIGINT', waitOnly);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}
