/** What a tunnel keeps of its rights, decided and read; that it is done is for test/native/harden and test/interop/privileges. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readPrivileges } from '../../src/control/privilege-report.ts';
import { type PrivilegeNeeds, planPrivileges } from '../../src/control/privileges.ts';

const NEEDS: PrivilegeNeeds = { listenPort: 51_820, portMayChange: false, commands: [], drop: true, sudo: undefined };

describe('the plan', () => {
  it.for<[string, Partial<PrivilegeNeeds>, readonly string[]]>([
    ['keeps only the network', {}, ['NET_ADMIN']],
    ['keeps only the network for a port that the kernel chooses', { listenPort: 0 }, ['NET_ADMIN']],
    ['keeps only the network from port 1024 on', { listenPort: 1_024 }, ['NET_ADMIN']],
    ['keeps low ports for a low port', { listenPort: 1_023 }, ['NET_ADMIN', 'NET_BIND_SERVICE']],
    ['keeps low ports where any port may come', { portMayChange: true }, ['NET_ADMIN', 'NET_BIND_SERVICE']],
  ])('%s', ([, needs, keep]) => {
    expect(planPrivileges({ ...NEEDS, ...needs })).toEqual({ keep, kept: null });
  });

  it.for<[string, Partial<PrivilegeNeeds>, RegExp]>([
    ['commands run later', { commands: ['true'] }, /PreDown and PostDown/],
    ['the option says so', { drop: false }, /--no-drop-privileges/],
    ['the environment says so', { sudo: '1' }, /WG_SUDO/],
  ])('drops nothing when %s', ([, needs, because]) => {
    expect(planPrivileges({ ...NEEDS, ...needs }).kept).toMatch(because);
  });

  it('takes no other value of WG_SUDO for a yes', () => {
    for (const sudo of ['0', '', 'no']) expect(planPrivileges({ ...NEEDS, sudo }).kept).toBeNull();
  });
});

describe('the report', () => {
  it('names capabilities, those that are not known by number', () => {
    const status = 'Uid:\t0\t7\t0\t0\nCapPrm:\t8000000000001400\nNoNewPrivs:\t1\n';
    const capabilities = ['cap_net_bind_service', 'cap_net_admin', 'cap_63'];
    expect(readPrivileges(status)).toEqual({ capabilities, noNewPrivileges: true, userId: 7 });
  });

  it('takes what is not told for everything', () => {
    const { capabilities, noNewPrivileges } = readPrivileges('');
    expect(capabilities).toHaveLength(64);
    expect(noNewPrivileges).toBe(false);
  });

  it('reads what the kernel says of this process', () => {
    const { userId } = readPrivileges(readFileSync('/proc/self/status', 'utf8'));
    expect(userId).toBe(process.geteuid?.());
  });
});
