/**
 * Notices that the file of a socket is gone: who deletes it wants its process to end, which is how `wg` and `wg-quick`
 * end userspace tunnels. The directory is watched for what happens in it and to it, and looked at now and then as well, since
 * watches are few on some machines, and a directory above may go. Gone is a path at which there is no longer this very
 * file: another's socket of the same name is no reason to stay.
 */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf } from '../control/system-error.ts';

/** Looked at so often even when nothing is heard. */
const LOOK_INTERVAL_MS = 2_000;

/** Which file it is: device and inode. While its socket is open, nobody else can get the inode. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

/** The file at a path, or null when there is none that may be seen. */
export function identityOf(path: string): FileIdentity | null {
  try {
    return lookAt(path);
  } catch {
    return null;
  }
}

/** Whether this file is no longer at a path; a path that may not be looked at says nothing. */
export function isGone(path: string, file: FileIdentity): boolean {
  try {
    const { device, inode } = lookAt(path);
    return device !== file.device || inode !== file.inode;
  } catch (error) {
    return ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
  }
}

function lookAt(path: string): FileIdentity {
  const { dev: device, ino: inode } = statSync(path, { bigint: true });
  return { device, inode };
}

export class RemovalWatch {
  readonly #path: string;
  readonly #file: FileIdentity;
  readonly #onRemoved: () => void;
  readonly #timer: NodeJS.Timeout;
  #watcher: FSWatcher | null = null;
  #isOver = false;

  /**
   * Watches until the file is gone, or `close`.
   *
   * @param onRemoved called once, never from within the constructor.
   */
  constructor(path: string, file: FileIdentity, onRemoved: () => void) {
    this.#path = path;
    this.#file = file;
    this.#onRemoved = onRemoved;
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS).unref();
    this.#watch();
  }

  /** From now on nothing is an event; call it before removing the file oneself. */
  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#watcher?.close();
  }

  /** Without a watch (ENOSPC: the user has too many) the timer serves alone. */
  #watch(): void {
    try {
      this.#watcher = watch(dirname(this.#path), { persistent: false }, () => this.#look());
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      this.#watcher = null;
    }
  }

  #look(): void {
    if (this.#isOver || !isGone(this.#path, this.#file)) return;
    this.close();
    this.#onRemoved();
  }
}
