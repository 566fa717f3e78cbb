/** The machine as the probes see it: text files and directories of /proc and /sys, none of which need be there. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

export interface Host {
  /** The file's text, its first megabytes if it is long; null when it cannot be read. */
  read(path: string): string | null;
  /** Names in a directory; none when it cannot be read. */
  list(path: string): readonly string[];
  /** What a symbolic link says; null when it is none. */
  link(path: string): string | null;
}

/** A machine with ten thousand sockets has a /proc/net/udp of 1.3 MB. */
const TEXT_LENGTH_MAX = 8 << 20;
const CHUNK_LENGTH = 1 << 16;

/** This machine. */
export const thisHost: Host = {
  read: (path) => {
    try {
      return readText(path);
    } catch {
      return null;
    }
  },
  list: (path) => {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  },
  link: (path) => {
    try {
      return readlinkSync(path);
    } catch {
      return null;
    }
  },
};

/** Files of /proc have no length: they are read until they end. */
function readText(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let length = 0; length < TEXT_LENGTH_MAX; ) {
      const chunk = Buffer.alloc(CHUNK_LENGTH);
      const count = readSync(fd, chunk, 0, CHUNK_LENGTH, null);
      if (count === 0) break;
      chunks.push(chunk.subarray(0, count));
      length += count;
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    closeSync(fd);
  }
}

/** A number that stands alone in a file; null when it does not. */
export function readNumber(host: Host, path: string): number | null {
  const text = host.read(path)?.trim() ?? '';
  return /^\d{1,20}$/.test(text) ? Number(text) : null;
}
