/**
 * Requests out of a stream of bytes, which may be cut anywhere. `get=1`, or `set=1` with its lines, each ended by an empty
 * line; several follow each other on one connection. A request with a bad line is read to its end and refused as a whole;
 * what is behind it is read as if it had been good. Where the stream itself cannot be understood any more, the refusal
 * says that the connection is to end.
 */
import type { DeviceChange } from '../control/device-change.ts';
import { GigatunError } from '../errors.ts';
import { ChangeBuilder, wipeChange } from './change-builder.ts';
import { invalid, malformed } from './errno.ts';
import type { LineBudget } from './line-budget.ts';
import { LineCutter } from './line-cutter.ts';

export type Operation = 'get' | 'set';

export type UapiRequest =
  | { readonly kind: 'get' }
  /** The change's keys are the taker's to zero. */
  | { readonly kind: 'set'; readonly change: DeviceChange }
  /** To be answered with the error's errno, in the sign of the operation; without operation not at all. */
  | {
      readonly kind: 'refused';
      readonly operation: Operation | null;
      readonly error: GigatunError;
      /** Whether the connection is to end. */
      readonly isLast: boolean;
    };

const EQUALS = 61;
const CARRIAGE_RETURN = 13;

export class RequestParser {
  readonly #cutter: LineCutter = new LineCutter();
  readonly #budget: LineBudget;
  #operation: Operation | null = null;
  #builder: ChangeBuilder = new ChangeBuilder();
  #linesTaken = 0;
  /** Number of the line within its request, from 1 for the one behind `set=1`. */
  #lineNumber = 0;
  #error: GigatunError | null = null;
  #hasEnded = false;

  /** @param budget lines that requests may have, shared with others. */
  constructor(budget: LineBudget) {
    this.#budget = budget;
  }

  /** Whether the stream is within a request. */
  get isWithin(): boolean {
    return this.#operation !== null || this.#cutter.isWithin;
  }

  /** Takes the next bytes, to keep and to zero, once `next` has given null. */
  feed(chunk: Buffer): void {
    this.#cutter.feed(chunk);
  }

  /** The next request, or null when more bytes are needed. Behind a refusal that is the last, there is none. */
  next(): UapiRequest | null {
    let request: UapiRequest | null = null;
    while (request === null && !this.#hasEnded) {
      try {
        const line = this.#cutter.next();
        if (line === null) return null;
        request = this.#take(line);
      } catch (error) {
        request = this.#refuse(error as GigatunError, true);
      }
    }
    return request;
  }

  /** The stream is over: what was cut off is refused, and all is zeroed. */
  end(): UapiRequest | null {
    const cut = this.isWithin && !this.#hasEnded;
    const error = malformed('expected an empty line at the end of the request, got the end of the connection');
    const request = cut ? this.#refuse(error, true) : null;
    this.#discard();
    this.#cutter.wipe();
    return request;
  }

  #take(line: Buffer): UapiRequest | null {
    if (this.#operation === 'get') return this.#endGet(line);
    if (this.#operation === 'set') return this.#takeSetLine(line);
    const text = line.toString('latin1');
    if (text === 'get=1') this.#operation = 'get';
    else if (text === 'set=1') this.#operation = 'set';
    else return this.#refuse(malformed('expected get=1 or set=1, got another line'), true);
    return null;
  }

  #endGet(line: Buffer): UapiRequest {
    if (line.length > 0) return this.#refuse(invalid('expected an empty line behind get=1, got more'), true);
    this.#operation = null;
    return { kind: 'get' };
  }

  /** A carriage return at a line's end is none of it, as in wireguard-go. */
  #takeSetLine(line: Buffer): UapiRequest | null {
    const text = line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line;
    if (text.length === 0) return this.#endSet();
    this.#lineNumber += 1;
    if (this.#error !== null) return null;
    try {
      this.#build(text);
    } catch (error) {
      const { code, message, errno = 0 } = error as GigatunError;
      this.#error = new GigatunError(code, `line ${this.#lineNumber} of the request: ${message}`, { errno });
      this.#discard();
    }
    return null;
  }

  #build(line: Buffer): void {
    const equals = line.indexOf(EQUALS);
    if (equals === -1) throw malformed('expected KEY=VALUE, got a line without =');
    this.#budget.take();
    this.#linesTaken += 1;
    this.#builder.take(line.toString('latin1', 0, equals), line.subarray(equals + 1));
  }

  #endSet(): UapiRequest {
    if (this.#error !== null) return this.#refuse(this.#error, false);
    const change = this.#builder.build();
    this.#release();
    return { kind: 'set', change };
  }

  #refuse(error: GigatunError, isLast: boolean): UapiRequest {
    const operation = this.#operation;
    this.#discard();
    this.#release();
    this.#hasEnded = isLast;
    return { kind: 'refused', operation, error, isLast };
  }

  /** Zeroes what was read of the request so far, and forgets it. */
  #discard(): void {
    wipeChange(this.#builder.build());
    this.#restart();
  }

  /** Goes on to the next request. */
  #release(): void {
    this.#restart();
    this.#operation = null;
    this.#lineNumber = 0;
    this.#error = null;
  }

  #restart(): void {
    this.#builder = new ChangeBuilder();
    this.#budget.giveBack(this.#linesTaken);
    this.#linesTaken = 0;
  }
}
