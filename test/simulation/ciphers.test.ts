/** Both ciphers over hours of simulated time: rotation, poor networks, restarts, and peers that change what they know. */
import { describe, expect } from 'vitest';
import { expectNothingLost, expectTunnelWorks, REKEY_EACH_10_S, simulate } from './checks.ts';
import type { World } from './world.ts';

const POOR = { loss: 0.05, duplication: 0.02, delayMsMin: 5, delayMsMax: 300 };
const BOTH_AES = { a: 'aes-256-gcm', b: 'aes-256-gcm' } as const;
const BOTH_AUTO = { a: 'auto', b: 'auto' } as const;

function traffic(world: World, seconds: number): void {
  world.flow('a', 20);
  world.flow('b', 20);
  world.run(seconds);
}

const ciphers = ({ a, b }: World) => [a.cipher, b.cipher];

describe('AES-256-GCM', () => {
  simulate(
    'loses nothing in half an hour with a rekey each 10 s',
    { timing: REKEY_EACH_10_S, ciphers: BOTH_AES },
    (world) => {
      world.sendPacket('a');
      world.run(10);
      traffic(world, 1800);
      world.settle();
      expectNothingLost(world);
      expect(world.facts.handshakes).toBeGreaterThanOrEqual(170);
      expect(ciphers(world)).toEqual(['aes-256-gcm', 'aes-256-gcm']);
    },
  );
});

describe('auto at both ends', () => {
  const poor = { timing: REKEY_EACH_10_S, conditions: POOR, ciphers: BOTH_AUTO, seeds: [1, 2, 3, 4] };
  simulate('uses AES-256-GCM most of the time on a poor network, and loses only what that lost', poor, (world) => {
    let inAes = 0;
    traffic(world, 60);
    for (let round = 0; round < 100; round++) {
      world.run(30);
      if (world.a.cipher === 'aes-256-gcm') inAes++;
    }
    world.settle();
    expect(world.facts.lostInTunnel).not.toHaveProperty('bad key');
    expect(inAes).toBeGreaterThan(80);
  });

  simulate('comes back to AES-256-GCM after an outage in which both ends tried', { ciphers: BOTH_AUTO }, (world) => {
    traffic(world, 20);
    world.setConditions({ loss: 1 });
    world.run(60);
    world.setConditions({});
    world.run(400);
    expect(ciphers(world)).toEqual(['aes-256-gcm', 'aes-256-gcm']);
    expectTunnelWorks(world);
  });

  simulate('comes back to it after either end restarts', { ciphers: BOTH_AUTO }, (world) => {
    traffic(world, 20);
    for (const name of ['a', 'b'] as const) {
      world.restart(name);
      world.run(60);
      expect(ciphers(world)).toEqual(['aes-256-gcm', 'aes-256-gcm']);
    }
  });

  simulate('follows a peer that was replaced by a stock one', { ciphers: BOTH_AUTO }, (world) => {
    traffic(world, 20);
    world.restart('b', 'chacha20-poly1305');
    world.run(60);
    expect(ciphers(world)).toEqual(['chacha20-poly1305', 'chacha20-poly1305']);
    expectTunnelWorks(world);
    world.restart('b', 'auto');
    world.run(60);
    expect(ciphers(world)).toEqual(['aes-256-gcm', 'aes-256-gcm']);
  });
});

describe('auto with a stock peer', () => {
  const stock = { ciphers: { a: 'auto', b: 'chacha20-poly1305' } } as const;
  simulate('costs it one unanswered initiation in three hours', stock, (world) => {
    traffic(world, 3 * 3600);
    const unanswered = world.facts.failures('cipher refused') + world.facts.failures('bad initiation');
    expect(unanswered).toBe(1);
    expect(ciphers(world)).toEqual(['chacha20-poly1305', 'chacha20-poly1305']);
  });
});
