/**
 * Run by harden.test.ts: gives rights up with threads of every kind about, and tells what the kernel says of each. Arguments:
 * the capabilities to keep, as the verb takes them.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const addon = createRequire(import.meta.url)('node-gyp-build')(fileURLToPath(new URL('../..', import.meta.url)));
const busy = new Worker('for (;;) {}', { eval: true });
const waiting = new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true });
await Promise.all([busy, waiting].map((worker) => new Promise((resolve) => worker.once('online', resolve))));

const limited = addon.harden(Number(process.argv[2]));
const late = new Worker('setInterval(() => {}, 1000)', { eval: true });
await new Promise((resolve) => late.once('online', resolve));
const statuses = readdirSync('/proc/self/task').map((id) => readFileSync(`/proc/self/task/${id}/status`, 'utf8'));
const child = execFileSync('cat', ['/proc/self/status', '/proc/self/limits'], { encoding: 'utf8' });
console.log(JSON.stringify({ limited, statuses, child }));
process.exit(0);
