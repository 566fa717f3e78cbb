/** A lane's gate for handshake messages, of a device with a known public key, and messages that fit it. */
import { HandshakeGate } from '../../src/inbound/handshake-gate.ts';
import { mac1Key, stampMac1 } from '../../src/protocol/mac.ts';
import { LiveIndices } from '../../src/tables/live-indices.ts';
import type { FakeLane } from './fake-lane.ts';

/** The public key of the device behind `openGate`. */
export const GATE_PUBLIC_KEY: Uint8Array = new Uint8Array(32).fill(0x51);
/** The one receiver index for which something is awaited there. */
export const LIVE_INDEX = 0x1234_5678;

const GATE_MAC1_KEY = mac1Key(GATE_PUBLIC_KEY);

export function openGate(lane: FakeLane, admit: (isWorthy: boolean) => boolean = () => true, lanes = 1): HandshakeGate {
  const live = new LiveIndices(LiveIndices.allocate());
  live.take(LIVE_INDEX);
  const gate = new HandshakeGate(lane.context, lanes, live, admit);
  gate.setIdentity(GATE_PUBLIC_KEY);
  return gate;
}

/** Makes a message of any bytes, and of type and length that go together, one that the gate takes for genuine; returns it. */
export function genuine(message: Uint8Array): Uint8Array {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  if (message[0] === 2) view.setInt32(8, LIVE_INDEX, true);
  if (message[0] === 3) view.setInt32(4, LIVE_INDEX, true);
  else stampMac1(message, GATE_MAC1_KEY);
  return message;
}
