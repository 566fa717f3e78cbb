/** Copies of handshake messages: how many, where to, when, and when no more. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ControlInitiations } from '../src/control-initiations.ts';
import { newControlPeer } from '../src/control-lane-types.ts';
import { type CopySettings, NO_HISTORY } from '../src/history/settings.ts';
import type { Endpoint } from '../src/packet/endpoint.ts';

const MESSAGE = Uint8Array.of(1, 2, 3);
const PEER_CELLS_BYTES = 4_096;

let settings: CopySettings;
let sent: { readonly to: number; readonly isPath: boolean }[];
let initiations: ControlInitiations;

beforeEach(() => {
  vi.useFakeTimers();
  settings = { ...NO_HISTORY.copies, count: 3 };
  sent = [];
  initiations = new ControlInitiations({
    candidates: () => null,
    send: (message, to, _peer, isPath) => {
      expect(message).toBe(MESSAGE);
      sent.push({ to: to?.address[3] ?? 0, isPath });
      return true;
    },
    copies: () => settings,
    nowMs: () => performance.now(),
  });
});

afterEach(() => {
  initiations.close();
  vi.useRealTimers();
});

function endpointAt(last: number): Endpoint {
  const address = Uint8Array.of(10, 0, 0, last);
  return { family: 4, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 };
}

function copy(paths: readonly Endpoint[] | null = null, isRetry = false): void {
  const plan = { publicKey: new Uint8Array(32), presharedKey: null, endpoint: endpointAt(9), allowedIps: [] };
  const peer = newControlPeer(
    7,
    { ...plan, persistentKeepaliveSeconds: 0 },
    new SharedArrayBuffer(PEER_CELLS_BYTES),
    0,
    1,
  );
  initiations.copy(peer, MESSAGE, null, paths, isRetry);
}

describe('a handshake message', () => {
  it('is sent again to where the peer is, at once or each time after the delay', () => {
    copy();
    expect(sent).toEqual([
      { to: 9, isPath: false },
      { to: 9, isPath: false },
    ]);
    settings = { ...settings, delayMs: 20 };
    copy();
    expect(sent).toHaveLength(2);
    vi.advanceTimersByTime(20);
    expect(sent).toHaveLength(3);
    vi.advanceTimersByTime(1_000);
    expect(sent).toHaveLength(4);
  });

  it('that went over paths is sent again over these, only as often as there were too few', () => {
    copy([endpointAt(1), endpointAt(2)]);
    expect(sent).toEqual([{ to: 1, isPath: true }]);
    copy([endpointAt(1), endpointAt(2), endpointAt(3)]);
    expect(sent).toHaveLength(1);
  });

  it('is not copied where copies are of something else, or of nothing', () => {
    settings = { ...settings, only: { small: true, handshake: false, dscps: [] } };
    copy();
    settings = NO_HISTORY.copies;
    copy();
    expect(sent).toEqual([]);
    settings = { ...settings, count: 2, only: { small: false, handshake: true, dscps: [] } };
    copy();
    expect(sent).toHaveLength(1);
  });

  it('is copied, where copies adapt to loss, when the one before it was not answered', () => {
    settings = { ...settings, when: 'loss' };
    copy();
    expect(sent).toEqual([]);
    copy(null, true);
    expect(sent).toHaveLength(2);
  });

  it('is not copied any more when the peer was heard, or is gone', () => {
    settings = { ...settings, delayMs: 20 };
    copy();
    vi.advanceTimersByTime(20);
    initiations.stop(7);
    vi.advanceTimersByTime(1_000);
    expect(sent).toHaveLength(1);
  });
});
