/** Reading what ping prints. */
import { expect, it } from 'vitest';
import { parsePing } from '../../src/lab/ping.ts';

const TEXT = `PING 10.77.0.2 (10.77.0.2) 56(84) bytes of data.
64 bytes from 10.77.0.2: icmp_seq=1 ttl=64 time=0.423 ms
64 bytes from 10.77.0.2: icmp_seq=2 ttl=64 time=1.05 ms
64 bytes from 10.77.0.2: icmp_seq=3 ttl=64 time=12 ms
64 bytes from 10.77.0.2: icmp_seq=5 ttl=64 time=0.5 ms

--- 10.77.0.2 ping statistics ---
5 packets transmitted, 4 received, 20% packet loss, time 40ms
rtt min/avg/max/mdev = 0.423/3.493/12.000/4.925 ms
`;

it('the echoes of ping become percentiles, and lost ones are known', () => {
  expect(parsePing(TEXT)).toEqual({ sent: 5, received: 4, p50Ms: 0.5, p99Ms: 12, leastMs: 0.423, mostMs: 12 });
});

it('no echo at all is an error that holds what ping said', () => {
  const text = 'PING x\n\n--- x ping statistics ---\n3 packets transmitted, 0 received, 100% packet loss\n';
  expect(() => parsePing(text)).toThrowError(/no echo came back[\s\S]*100% packet loss/);
});
