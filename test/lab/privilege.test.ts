/** Who may make namespaces, and what is said to those who may not. */
import { describe, expect, it } from 'vitest';
import { isCapable, judgePrivilege } from '../../src/lab/privilege.ts';

const ABLE = { capable: true, tunError: null, userNamespaceError: null };

describe('privilege', () => {
  it('of root with a TUN device is its own', () => expect(judgePrivilege(ABLE)).toEqual({ kind: 'own' }));
  it('of a user who may make user namespaces is theirs', () => {
    expect(judgePrivilege({ ...ABLE, capable: false })).toEqual({ kind: 'user-namespace' });
  });
  it('is missing without a TUN device, also for root', () => {
    const judged = judgePrivilege({ ...ABLE, tunError: 'ENOENT: no such file' });
    expect(judged).toEqual({ kind: 'missing', reasons: ['/dev/net/tun cannot be opened: ENOENT: no such file'] });
  });
  it('is missing with every reason for a user who may do nothing', () => {
    const judged = judgePrivilege({ capable: false, tunError: 'EACCES', userNamespaceError: 'unshare: not permitted' });
    expect(judged.kind === 'missing' && judged.reasons.join('\n')).toMatch(
      /tun cannot be opened: EACCES\n.*CAP_NET_ADMIN.*run as root\n.*unshare: not permitted/,
    );
  });
});

it.each([
  ['CapEff:\t000001ffffffffff', true],
  ['CapEff:\t0000000000201000', true],
  ['CapEff:\t0000000000001000', false],
  ['CapEff:\t0000000000200000', false],
  ['CapEff:\t0000000000000000', false],
  ['Name:\tnode', false],
])('%j: both capabilities %s', (line, capable) => {
  expect(isCapable(`Name:\tnode\n${line}\nCapBnd:\t000001ffffffffff\n`)).toBe(capable);
});
