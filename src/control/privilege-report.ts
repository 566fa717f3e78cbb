/** What a process may still do, as the kernel tells everybody who asks. */

/** Of `capabilities(7)`, in the kernel's order: for reports. */
const CAPABILITY_NAMES = (
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service ' +
  'net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin ' +
  'sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override ' +
  'mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'
).split(' ');

/** What a process may still do. */
export interface PrivilegeReport {
  /** Such as `cap_net_admin`; every thread has these at most. */
  readonly capabilities: readonly string[];
  /** Whether it, and what it executes, can gain none. */
  readonly noNewPrivileges: boolean;
  readonly userId: number;
}

/** Reads the text of `/proc/PID/status`. Words that are missing count as no rights given up. */
export function readPrivileges(status: string): PrivilegeReport {
  const set = BigInt(`0x${/^CapPrm:\s+([0-9a-f]+)$/m.exec(status)?.[1] ?? 'ffffffffffffffff'}`);
  const held = Array.from({ length: 64 }, (_, number) => number).filter((number) => (set >> BigInt(number)) & 1n);
  return {
    capabilities: held.map((number) => `cap_${CAPABILITY_NAMES[number] ?? number}`),
    noNewPrivileges: /^NoNewPrivs:\s+1$/m.test(status),
    userId: Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0),
  };
}
