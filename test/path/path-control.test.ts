/** The control lane's part of paths, with a clock and lanes that are made up. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { NO_HISTORY } from '../../src/history/settings.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { PathControl } from '../../src/path/path-control.ts';
import { NO_PATH } from '../../src/path/path-types.ts';
import { CAPABILITY, encodeControlMessage } from '../../src/protocol/control-message.ts';
import type { LaneCommand } from '../../src/tables/lane-messages.ts';

const PEER = 3;
const STRANGER_MS = 600_000;

describe('PathControl', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('says when a slot has another path: its books are of that alone', () => {
    vi.useFakeTimers();
    const end = new End();
    const path = { localAddress: null, localInterface: null, endpoint: null, weight: 1, isBackup: false };
    const configure = (...names: string[]): number[] => {
      end.begun.length = 0;
      const paths = names.map((name) => ({ ...path, name }));
      end.control.configure(PEER, 'peer', { ...NO_HISTORY, paths });
      return end.begun;
    };
    expect(configure('near', 'far')).toEqual([0, 1]);
    expect(configure('near', 'far')).toEqual([]);
    expect(configure('far')).toEqual([0]);
    end.control.close();
  });

  it('keeps histories of a peer that probes, and forgets them when it has not done so for long', () => {
    vi.useFakeTimers();
    const end = new End();
    end.takeProbe();
    expect(end.control.has(PEER)).toBe(true);
    expect(end.histories()).toEqual([true]);
    end.nowMs += STRANGER_MS;
    end.control.linkChanged();
    expect(end.control.has(PEER)).toBe(true);
    end.nowMs += 1;
    end.control.linkChanged();
    expect(end.control.has(PEER)).toBe(false);
    expect(end.histories().at(-1)).toBe(false);
    end.takeProbe();
    expect(end.histories().at(-1)).toBe(true);
    end.control.close();
  });

  it('forgets a peer that probed long ago when configuration asks for nothing any more', () => {
    vi.useFakeTimers();
    const end = new End();
    end.takeProbe();
    end.nowMs += STRANGER_MS + 1;
    end.control.configure(PEER, 'peer', null);
    expect(end.control.has(PEER)).toBe(false);
    expect(end.histories().at(-1)).toBe(false);
    end.control.close();
  });
});

/** One end that has paths from its peer's probes alone. */
class End {
  nowMs = 1_000_000;
  readonly commands: LaneCommand[] = [];
  readonly begun: number[] = [];
  readonly control: PathControl = new PathControl({
    lanes: 1,
    begins: (_, path) => this.begun.push(path),
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    nowMs: () => this.nowMs,
    peer: () => ({
      isUp: true,
      endpoint: endpointAt(1),
      unansweredSinceMs: 0,
      persistentKeepaliveSeconds: 0,
      bytes: 0,
    }),
    capabilities: () => CAPABILITY.PATHS,
    booked: () => undefined,
    offer: () => {},
    move: () => {},
    wantHandshake: () => {},
    rest: () => {},
    post: (command) => this.commands.push(command),
  });

  takeProbe(): void {
    const message = encodeControlMessage({
      kind: 'pathProbe',
      path: 0,
      carriesData: true,
      sequence: 7,
      sentUs: 0,
    });
    const { nowMs: atMs } = this;
    this.control.take({ type: 'control', peer: PEER, message, path: NO_PATH, source: endpointAt(2), atMs });
  }

  /** Of each `history` command, whether the peer is to have any. */
  histories(): boolean[] {
    return this.commands.flatMap((command) => (command.type === 'history' ? [command.settings !== null] : []));
  }
}

function endpointAt(last: number): Endpoint {
  const address = Uint8Array.of(192, 0, 2, last);
  return { family: 4, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 };
}
