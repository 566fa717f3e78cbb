/**
 * Cuts a stream of bytes into lines, without ever making a text of them: lines hold private keys, and what is a text can
 * not be zeroed. A line is a view that holds until the next call; chunks and kept bytes are zeroed when they are used up.
 */
import { lineTooLong } from './errno.ts';

/** Bytes of a line without its newline; the longest that means something has about 100. */
export const LINE_BYTES_MAX = 4_096;

const NEWLINE = 10;
const NOTHING = Buffer.alloc(0);

export class LineCutter {
  #chunk: Buffer = NOTHING;
  #at = 0;
  /** Start of a line whose end has not come yet. */
  readonly #kept: Buffer = Buffer.alloc(LINE_BYTES_MAX);
  #keptLength = 0;
  /** Whether the bytes kept are the line that was given out last. */
  #keptIsUsed = false;

  /** Whether the stream is within a line. */
  get isWithin(): boolean {
    return this.#at < this.#chunk.length || (this.#keptLength > 0 && !this.#keptIsUsed);
  }

  /** Takes the next bytes, to keep and to zero; the lines of those before must have been taken. */
  feed(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next line without its newline, or null when more bytes are needed.
   *
   * @throws GigatunError with errno EIO when the line is too long; the stream is of no use then.
   */
  next(): Buffer | null {
    if (this.#keptIsUsed) this.#forgetKept();
    const end = this.#chunk.indexOf(NEWLINE, this.#at);
    if (end === -1) {
      this.#keep(this.#chunk.subarray(this.#at));
      this.#chunk.fill(0);
      this.#chunk = NOTHING;
      this.#at = 0;
      return null;
    }
    const part = this.#chunk.subarray(this.#at, end);
    this.#at = end + 1;
    return this.#finish(part);
  }

  /** Zeroes what is left; for the end of the stream. */
  wipe(): void {
    this.#chunk.fill(0);
    this.#chunk = NOTHING;
    this.#at = 0;
    this.#forgetKept();
  }

  #finish(part: Buffer): Buffer {
    if (part.length > LINE_BYTES_MAX) throw lineTooLong(LINE_BYTES_MAX);
    if (this.#keptLength === 0) return part;
    this.#keep(part);
    this.#keptIsUsed = true;
    return this.#kept.subarray(0, this.#keptLength);
  }

  #keep(part: Buffer): void {
    if (this.#keptLength + part.length > LINE_BYTES_MAX) throw lineTooLong(LINE_BYTES_MAX);
    part.copy(this.#kept, this.#keptLength);
    this.#keptLength += part.length;
  }

  #forgetKept(): void {
    this.#kept.fill(0, 0, this.#keptLength);
    this.#keptLength = 0;
    this.#keptIsUsed = false;
  }
}
