/** Reads public test vectors, which lie beside the project (../shared/vectors) and are not part of it. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../../shared/vectors/', import.meta.url));

/** Whether the vectors are there. */
export const vectorsArePresent: boolean = existsSync(FOLDER);

/** Title of a group of tests over vectors: says why, when they are skipped. */
export function vectorTitle(title: string): string {
  return vectorsArePresent ? title : `${title} [skipped: the folder ../shared/vectors is absent]`;
}

/** The content of one file; an empty list or object of the type expected when the folder is absent. */
export function loadVectors<T>(name: string, whenAbsent: T): T {
  return vectorsArePresent ? (JSON.parse(readFileSync(FOLDER + name, 'utf8')) as T) : whenAbsent;
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
