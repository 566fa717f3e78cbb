/** The MTU of the way to an address, by what `ip` says of the route and of its interface. */
import { expect, it } from 'vitest';
import { routeMtu } from '../../../src/doctor/probe/route.ts';
import { fakeRunner } from '../../control/support/fakes.ts';

const LINK = '3: eth0: <UP> mtu 1400 qdisc fq state UP';

it.each([
  ['its own', '192.0.2.1 via 10.0.0.1 dev eth0 src 10.0.0.2 \\    cache expires 500sec mtu 1380 ', 1_380],
  ['its own, locked', '192.0.2.1 dev eth0 \\    cache mtu lock 1300 ', 1_300],
  ["its interface's", '192.0.2.1 dev eth0 src 10.0.0.2 \\    cache ', 1_400],
  ['none without an interface', 'unreachable 192.0.2.1 ', null],
])('is %s', async (_, route, mtu) => {
  const { run } = fakeRunner((text) => ({ stdout: text.includes('route get') ? route : LINK }));
  expect(await routeMtu(run, '192.0.2.1', 0)).toBe(mtu);
});

it('is none where no way leads', async () => {
  const { run } = fakeRunner(() => ({ status: 2, stderr: 'RTNETLINK answers: Network is unreachable' }));
  expect(await routeMtu(run, '192.0.2.1', 0)).toBeNull();
});

it('asks with mark and zone, as the tunnel sends', async () => {
  const { run, commands } = fakeRunner();
  await routeMtu(run, 'fe80::1%eth0', 51_820);
  expect(commands).toEqual(['ip -o route get fe80::1 oif eth0 mark 51820']);
});
