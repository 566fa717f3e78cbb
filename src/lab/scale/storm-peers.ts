/**
 * The other side of a storm: many peers in one process, each with a key, an address and a socket of its own, that all
 * start a handshake at the same moment. The protocol is this project's own, with WireGuard's times, so a peer that gets a
 * cookie or no answer tries again as a real one does. A peer has settled when an ICMP echo through its tunnel came back.
 *
 *     node storm-peers.js JOB.json     prints `ready`, waits for SIGUSR2, prints one line of JSON
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { parseKey } from '../../control/key-text.ts';
import { GigatunError } from '../../errors.ts';
import type { Endpoint } from '../../packet/endpoint.ts';
import type { Action, NewKeypair } from '../../protocol/action.ts';
import { MESSAGE_COOKIE_REPLY, MESSAGE_TRANSPORT, WIREGUARD_TIMING } from '../../protocol/constants.ts';
import { DeviceMachine } from '../../protocol/device-machine.ts';
import { generateKeyPair } from '../../protocol/x25519.ts';
import { echoRequest, isEchoReply } from './echo.ts';

export interface StormJob {
  /** Of the device, base64. */
  readonly publicKey: string;
  readonly address: string;
  readonly port: number;
  /** Inner address of the device, which answers echoes. */
  readonly inner: string;
  readonly peers: readonly StormPeerPlan[];
  /** When to give up. */
  readonly secondsMax: number;
}

interface StormPeerPlan {
  /** Base64. */
  readonly privateKey: string;
  /** Outer address to send from. */
  readonly address: string;
  readonly inner: string;
}

export interface StormReport {
  /** From the first initiation to each peer's response, milliseconds, in no order; starved ones are missing. */
  readonly handshakeMs: readonly number[];
  /** To each peer's first echo through the tunnel. */
  readonly echoMs: readonly number[];
  readonly cookies: number;
  /** Initiations beyond each peer's first. */
  readonly repetitions: number;
}

const HEADER_LENGTH = 16;
const TAG_LENGTH = 16;
const LOOK_MS = 20;
const ECHO_REPEAT_MS = 250;
const NO_TIMES = { unansweredSinceMs: 0, owedSinceMs: 0, lastDataReceivedMs: 0, lastSentMs: 0, lastReceivedMs: 0 };

class StormPeer {
  readonly #plan: StormPeerPlan;
  readonly #job: StormJob;
  readonly #socket: Socket;
  readonly #machine: DeviceMachine;
  readonly #id: number;
  readonly #source: Endpoint;
  #keypair: NewKeypair | null = null;
  #counter = 0;
  #echoSentMs = 0;
  first: Uint8Array = new Uint8Array(0);
  initiations = 0;
  cookies = 0;
  answeredMs = 0;
  echoedMs = 0;

  constructor(plan: StormPeerPlan, job: StormJob) {
    this.#plan = plan;
    this.#job = job;
    this.#socket = createSocket('udp4');
    const random = (length: number): Uint8Array => randomBytes(length);
    const privateKey = keyOf(plan.privateKey);
    const timing = WIREGUARD_TIMING;
    this.#machine = new DeviceMachine({ privateKey, timing, random, newKeyPair: generateKeyPair });
    this.#id = this.#machine.addPeer(keyOf(job.publicKey));
    const address = Uint8Array.from(job.address.split('.'), Number);
    this.#source = { family: 4, address, port: job.port, scope: 0, localAddress: null, localInterface: 0 };
    this.#socket.on('message', (message) => this.#take(message));
  }

  /** Binds the socket and makes the first initiation. */
  async prepare(): Promise<void> {
    this.#socket.bind(0, this.#plan.address);
    await once(this.#socket, 'listening');
    for (const action of this.#machine.wantHandshake(this.#id, performance.now(), Date.now()))
      if (action.kind === 'send') this.first = action.message;
  }

  start(): void {
    this.initiations += 1;
    this.#sendBytes(this.first);
  }

  /** Does what time has made due. */
  look(nowMs: number): void {
    if (nowMs >= this.#machine.nextDeadlineMs(this.#id))
      this.#carryOut(this.#machine.activity(this.#id, NO_TIMES, nowMs, Date.now()));
    if (this.#keypair !== null && this.echoedMs === 0 && nowMs - this.#echoSentMs >= ECHO_REPEAT_MS) this.#sendEcho();
  }

  close(): void {
    this.#socket.close();
  }

  #take(message: Uint8Array): void {
    const nowMs = performance.now();
    if (message[0] === MESSAGE_TRANSPORT) {
      if (this.echoedMs === 0 && this.#isEcho(message)) this.echoedMs = nowMs;
      return;
    }
    if (message[0] === MESSAGE_COOKIE_REPLY) this.cookies += 1;
    this.#carryOut(this.#machine.receiveHandshake(message, this.#source, nowMs, Date.now()));
    if (this.#keypair !== null && this.answeredMs === 0) {
      this.answeredMs = nowMs;
      this.#sendEcho();
    }
  }

  #carryOut(actions: readonly Action[]): void {
    for (const action of actions) {
      if (action.kind === 'install') {
        this.#keypair = action.keypair;
        this.#counter = 0;
      } else if (action.kind === 'send') {
        this.initiations += 1;
        this.#sendBytes(action.message);
      }
    }
  }

  #sendEcho(): void {
    if (this.#keypair === null) return;
    this.#echoSentMs = performance.now();
    const packet = echoRequest(this.#plan.inner, this.#job.inner);
    const header = Buffer.alloc(HEADER_LENGTH);
    header.writeUInt32LE(MESSAGE_TRANSPORT, 0);
    header.writeInt32LE(this.#keypair.remoteIndex, 4);
    header.writeBigUInt64LE(BigInt(this.#counter), 8);
    const nonce = Buffer.concat([Buffer.alloc(4), header.subarray(8)]);
    const cipher = createCipheriv('chacha20-poly1305', this.#keypair.sendKey, nonce, { authTagLength: TAG_LENGTH });
    const sealed = Buffer.concat([cipher.update(packet), cipher.final()]);
    this.#counter += 1;
    this.#sendBytes(Buffer.concat([header, sealed, cipher.getAuthTag()]));
  }

  /** Opens a transport message and looks whether it is the answer; anything else is not for this program. */
  #isEcho(message: Uint8Array): boolean {
    if (this.#keypair === null || message.length < HEADER_LENGTH + TAG_LENGTH) return false;
    const nonce = Buffer.concat([Buffer.alloc(4), message.subarray(8, HEADER_LENGTH)]);
    const options = { authTagLength: TAG_LENGTH };
    const decipher = createDecipheriv('chacha20-poly1305', this.#keypair.receiveKey, nonce, options);
    decipher.setAuthTag(message.subarray(message.length - TAG_LENGTH));
    const packet = decipher.update(message.subarray(HEADER_LENGTH, message.length - TAG_LENGTH));
    try {
      decipher.final();
    } catch {
      return false;
    }
    return isEchoReply(packet, this.#job.inner, this.#plan.inner);
  }

  #sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes, this.#job.port, this.#job.address);
  }
}

function keyOf(text: string): Uint8Array {
  const key = parseKey(text);
  if (key !== null) return key;
  throw new GigatunError('CONFIG', 'expected a job with keys of 44 base64 characters, got something else');
}

async function runStorm(job: StormJob): Promise<StormReport> {
  const peers = job.peers.map((plan) => new StormPeer(plan, job));
  for (const peer of peers) await peer.prepare();
  const told = once(process, 'SIGUSR2');
  process.stdout.write('ready\n');
  await told;
  const startedMs = performance.now();
  for (const peer of peers) peer.start();
  await untilSettled(peers, startedMs + job.secondsMax * 1_000);
  for (const peer of peers) peer.close();
  const since = (times: readonly number[]): number[] => times.filter((ms) => ms > 0).map((ms) => ms - startedMs);
  return {
    handshakeMs: since(peers.map(({ answeredMs }) => answeredMs)),
    echoMs: since(peers.map(({ echoedMs }) => echoedMs)),
    cookies: peers.reduce((sum, { cookies }) => sum + cookies, 0),
    repetitions: peers.reduce((sum, { initiations }) => sum + initiations - 1, 0),
  };
}

function untilSettled(peers: readonly StormPeer[], endMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const nowMs = performance.now();
      for (const peer of peers) peer.look(nowMs);
      if (nowMs < endMs && peers.some(({ echoedMs }) => echoedMs === 0)) return;
      clearInterval(timer);
      resolve();
    }, LOOK_MS);
  });
}

const job: StormJob = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
process.stdout.write(`${JSON.stringify(await runStorm(job))}\n`);
process.exit();
