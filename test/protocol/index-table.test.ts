import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import { DenseIds, IndexTable } from '../../src/protocol/index-table.ts';
import { EPOCH_MS, messageIn, Side, seededBytes } from './support.ts';

/** A random source that gives out these int32 values in turn. */
function sourceOf(values: readonly number[]): (length: number) => Uint8Array {
  const left = [...values];
  return (length) => {
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setInt32(0, left.shift() ?? 0, true);
    return bytes;
  };
}

describe('The index table', () => {
  it('gives out random int32 values, negative ones too, but neither 0 nor one in use', () => {
    const table = new IndexTable<string>(sourceOf([7, 7, 0, -(2 ** 31), 7]));
    expect(table.take('a')).toBe(7);
    expect(table.take('b')).toBe(-(2 ** 31));
    table.release(7);
    expect(table.take('c')).toBe(7);
    expect([table.find(7), table.find(-(2 ** 31)), table.find(0)]).toEqual(['c', 'b', undefined]);
  });
});

describe('The watcher of an index table', () => {
  it('hears of each index that comes into use and of each that is free again, once', () => {
    const heard: string[] = [];
    const watcher = {
      take: (index: number) => heard.push(`take ${index}`),
      release: (index: number) => heard.push(`release ${index}`),
    };
    const table = new IndexTable<string>(sourceOf([7, 7, 0, -3]), watcher);
    table.take('a');
    table.take('b');
    table.release(7);
    table.release(7);
    table.release(99);
    expect(heard).toEqual(['take 7', 'take -3', 'release 7']);
  });

  it('knows at any time what a device waits for: handshakes and keypairs, and nothing of removed peers', () => {
    const used = new Set<number>();
    const indexWatcher = {
      take: (index: number) => void used.add(index),
      release: (index: number) => void used.delete(index),
    };
    const random = seededBytes(3);
    const machine = new DeviceMachine({ privateKey: random(32), timing: WIREGUARD_TIMING, random, indexWatcher });
    const other = new Side(4);
    other.peer = other.machine.addPeer(machine.publicKey ?? new Uint8Array(32));
    const peer = machine.addPeer(other.publicKey);
    const initiation = messageIn(machine.wantHandshake(peer, 1_000, EPOCH_MS + 1_000));
    const sender = new DataView(initiation.buffer, initiation.byteOffset).getInt32(4, true);
    expect([...used]).toEqual([sender]);
    machine.removePeer(peer, 1_001);
    expect(used.size).toBe(0);
  });
});

describe('Dense ids', () => {
  it('are always the smallest free number', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(30), { nil: null }), { maxLength: 200 }), (steps) => {
        const ids = new DenseIds();
        const taken = new Set<number>();
        for (const step of steps) {
          if (step !== null && taken.delete(step)) ids.release(step);
          if (step !== null) continue;
          let smallest = 0;
          while (taken.has(smallest)) smallest++;
          expect(ids.take()).toBe(smallest);
          taken.add(smallest);
        }
      }),
    );
  });
});
