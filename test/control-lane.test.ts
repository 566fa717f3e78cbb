/** The control lane with one lane that is made up, and a peer that is the pure machine: what crosses on the way between them. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../src/control/key-text.ts';
import type { Logger } from '../src/control/log.ts';
import { ControlLane, nowMs } from '../src/control-lane.ts';
import { CONTROL_ARENA_BYTES } from '../src/control-sender.ts';
import { Ledger } from '../src/ledger/ledger.ts';
import { openPage } from '../src/ledger/page.ts';
import type { LaneHandle } from '../src/native/types.ts';
import type { Endpoint } from '../src/packet/endpoint.ts';
import { WIREGUARD_TIMING } from '../src/protocol/constants.ts';
import { DeviceMachine } from '../src/protocol/device-machine.ts';
import { generateKeyPair } from '../src/protocol/x25519.ts';
import type { LaneCommand } from '../src/tables/lane-messages.ts';

const INITIATION_LENGTH = 148;
const arena = new Uint8Array(new SharedArrayBuffer(CONTROL_ARENA_BYTES));
const sent: Uint8Array[] = [];
const silent = (): void => undefined;
const log: Logger = { debug: silent, info: silent, warn: silent, error: silent };
const indexWatcher = { take: silent, release: silent };
const HERE: Endpoint = endpointAt(1);

vi.mock('../src/native/addon.ts', async (original) => ({
  ...(await original<typeof import('../src/native/addon.ts')>()),
  sendUdp: () => sent.push(Uint8Array.from(arena.subarray(0, INITIATION_LENGTH))) && 1,
}));

let commands: LaneCommand[];
let control: ControlLane;
let peer: DeviceMachine;
let id: number;

beforeEach(() => {
  sent.length = 0;
  commands = [];
  const keys = [generatePrivateKey(), generatePrivateKey()] as const;
  control = new ControlLane({
    ...{ privateKey: keys[0], timing: WIREGUARD_TIMING, prefersAes: false, indexWatcher, log, lanes: 1, arena },
    ...{ handle: {} as LaneHandle, ledger: new Ledger(openPage()), handshakesPending: new Int32Array(2) },
    offloads: { datagramsMax: 64, announces: true, mtu: () => 1_420, log },
    post: (command) => commands.push(command),
  });
  peer = new DeviceMachine({
    ...{ privateKey: keys[1], timing: WIREGUARD_TIMING, prefersAes: false, indexWatcher },
    ...{ random: (length) => crypto.getRandomValues(new Uint8Array(length)), newKeyPair: generateKeyPair },
  });
  peer.addPeer(publicKeyOf(keys[0]));
  const plan = { publicKey: publicKeyOf(keys[1]), presharedKey: null, endpoint: HERE, persistentKeepaliveSeconds: 0 };
  id = control.addPeers([plan])[0]?.id ?? -1;
  control.goUp();
});

afterEach(() => {
  control.close();
});

function endpointAt(last: number): Endpoint {
  const address = Uint8Array.of(10, 0, 0, last);
  return { family: 4, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 };
}

/** The answer to the initiation that was sent last. */
function answer(): Uint8Array {
  const actions = peer.receiveHandshake(sent.at(-1) ?? new Uint8Array(0), HERE, nowMs(), Date.now());
  const [response] = actions.flatMap((action) => (action.kind === 'send' ? [action.message] : []));
  return response ?? new Uint8Array(0);
}

describe("a lane's wish for a handshake", () => {
  it('is void when it crosses with the keypair of one', () => {
    control.take({ type: 'want', peer: id }, 0);
    expect(sent).toHaveLength(1);
    control.take({ type: 'handshake', message: answer(), source: HERE }, 0);
    const install = commands.find((command) => command.type === 'install');
    // The lane has not read its port yet when it says so.
    control.take({ type: 'want', peer: id }, 0);
    control.take({ type: 'installed', token: install?.token ?? -1 }, 0);
    expect(control.machine.status(id)).toMatchObject({ handshakeUnderWay: false, lastFailure: null });
    expect(sent).toHaveLength(1);
  });

  it('is put off, not void, while the last one was not answered', () => {
    control.take({ type: 'want', peer: id }, 0);
    control.take({ type: 'want', peer: id }, 0);
    expect(control.machine.status(id)).toMatchObject({ handshakeUnderWay: true });
    expect(sent).toHaveLength(1);
  });
});
