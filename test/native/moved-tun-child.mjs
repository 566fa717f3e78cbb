/** Run by harden.test.ts in one namespace; argument: another. Looks at a TUN there, before and after rights were given up. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const addon = createRequire(import.meta.url)('node-gyp-build')(fileURLToPath(new URL('../..', import.meta.url)));
const NET_ADMIN = 2 ** 12;
const [, , there = ''] = process.argv;
const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8' });

const { fd, name } = addon.openTun({ name: 'moved%d', multiQueue: false, offloads: 0 });
ip('link', 'set', name, 'netns', there);
ip('-n', there, 'link', 'set', name, 'name', 'other', 'mtu', '1333', 'txqueuelen', '77', 'up');
// What this namespace has by that name must not be taken for it.
ip('link', 'add', 'other', 'type', 'veth');
const entered = addon.linkInfo(fd, '', -1);
addon.harden(NET_ADMIN);
const asked = addon.linkInfo(fd, '', -1);
let refused = null;
try {
  addon.linkInfo(fd, '', 100);
} catch (error) {
  refused = error.code;
}
console.log(JSON.stringify({ entered, asked, refused }));
