/**
 * What a running tunnel may do. A process that sets a tunnel up is root, as a rule; one that only carries packets needs
 * little of that: CAP_NET_ADMIN (marks of new sockets, their buffers beyond the limit, TUN queues, and undoing addresses,
 * routes and rules by `ip` and `nft`, which inherit it) and, where a port below 1024 may have to be bound again,
 * CAP_NET_BIND_SERVICE. The user stays the same: control sockets and journals are the user's own files.
 *
 * What falls away, beside everything that nobody misses: files of other users that are not open to this one, and looking at
 * a TUN that was moved to a namespace of another owner.
 */
import { readFileSync } from 'node:fs';
import { harden } from '../native/addon.ts';
import type { Logger } from './log.ts';
import { type PrivilegeReport, readPrivileges } from './privilege-report.ts';
import { messageOf } from './system-error.ts';

/** Capabilities that can be kept, and their numbers (capability.h). */
const CAPABILITY_NUMBERS = { NET_BIND_SERVICE: 10, NET_ADMIN: 12 } as const;
export type Capability = keyof typeof CAPABILITY_NUMBERS;

/** New files are their owner's alone. */
const UMASK = 0o077;
/** Ports below need CAP_NET_BIND_SERVICE, unless net.ipv4.ip_unprivileged_port_start says otherwise. */
const UNPRIVILEGED_PORT = 1024;

/** What is to be kept of a tunnel's rights, and why. */
export interface PrivilegePlan {
  readonly keep: readonly Capability[];
  /** Why nothing is dropped, or null. */
  readonly kept: string | null;
}

/** What decides it. */
export interface PrivilegeNeeds {
  /** UDP port that is bound, 0 for any. */
  readonly listenPort: number;
  /** Whether the port may be changed later to any other (`wg set IFACE listen-port`). */
  readonly portMayChange: boolean;
  /** Shell commands of the configuration that are still to run: PreDown, PostDown. */
  readonly commands: readonly string[];
  /** false: `--no-drop-privileges` or its synonym was given. */
  readonly drop: boolean;
  /** WG_SUDO, which means the same with the value 1. */
  readonly sudo: string | undefined;
}

/** Pure: what a tunnel has to keep. Commands of the configuration were written to run as root, and may do anything. */
export function planPrivileges(needs: PrivilegeNeeds): PrivilegePlan {
  const { listenPort, portMayChange, commands, drop, sudo } = needs;
  const lowPort = portMayChange || (listenPort > 0 && listenPort < UNPRIVILEGED_PORT);
  const keep: Capability[] = lowPort ? ['NET_ADMIN', 'NET_BIND_SERVICE'] : ['NET_ADMIN'];
  return { keep, kept: whyKept(commands, drop, sudo) };
}

function whyKept(commands: readonly string[], drop: boolean, sudo: string | undefined): string | null {
  if (!drop) return 'asked by --no-drop-privileges';
  if (sudo === '1') return 'asked by WG_SUDO=1';
  return commands.length > 0 ? 'PreDown and PostDown commands run as root later' : null;
}

/**
 * No core dump of this process holds keys, and no other process of its user reads its memory. To be called before keys
 * are handed about; needs no right and is not undone.
 *
 * @throws Error of the system call that failed.
 */
export function forbidDumps(): void {
  harden(-1);
}

/**
 * Leaves this process only the given capabilities, in every thread, for good; new files are for its user alone, and no
 * program that it executes gains rights. Lanes may be there already: those that come later inherit it. To be called on
 * the main thread when the tunnel is up.
 *
 * @returns what is left, as the kernel says.
 * @throws Error of the system call that failed; then some threads may be limited.
 */
export function dropPrivileges(keep: readonly Capability[]): PrivilegeReport {
  process.umask(UMASK);
  harden(keep.reduce((set, name) => set + 2 ** CAPABILITY_NUMBERS[name], 0));
  return readPrivileges(readFileSync('/proc/self/status', 'utf8'));
}

/**
 * Carries a plan out and says in the log what became of it. A tunnel that cannot drop its privileges goes on with them.
 *
 * @returns what is left, or null when all was kept.
 */
export function applyPrivileges({ keep, kept }: PrivilegePlan, log: Logger): PrivilegeReport | null {
  if (kept !== null) {
    log.info('privileges are kept', { because: kept });
    return null;
  }
  try {
    const report = dropPrivileges(keep);
    log.info('privileges dropped', { left: report.capabilities.join(',') || 'none' });
    return report;
  } catch (error) {
    log.warn('privileges could not be dropped', { error: messageOf(error) });
    return null;
  }
}
