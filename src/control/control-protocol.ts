/**
 * What goes over a control socket: one JSON object a line, a request `{"id":1,"method":"status"}`, and for each request,
 * in order, an answer `{"id":1,"result":…}` or `{"id":1,"error":{"code":"…","message":"…"}}`. Both sides bound what they
 * take and believe nothing of its shape.
 */
import { type ErrorCode, GigatunError, isErrorCode } from '../errors.ts';

export const CONTROL_METHODS = ['status', 'stats', 'reload', 'difference', 'down', 'version'] as const;
export type ControlMethod = (typeof CONTROL_METHODS)[number];

/** Version of this protocol, as `version` reports it. */
export const CONTROL_PROTOCOL = 1;

/** Bytes of a request line, without its newline. */
export const REQUEST_LENGTH_MAX = 4_096;
/** Bytes of an answer line: a device may have tens of thousands of peers. */
export const ANSWER_LENGTH_MAX: number = 256 * 1024 * 1024;

export type RequestId = number | string | null;

export interface ControlRequest {
  readonly id: RequestId;
  readonly method: ControlMethod;
}

export type ControlAnswer =
  | { readonly id: RequestId; readonly result: unknown }
  | { readonly id: RequestId; readonly error: { readonly code: ErrorCode; readonly message: string } };

/** Cuts a stream of bytes into lines. */
export class LineReader {
  readonly #lengthMax: number;
  #rest: Buffer[] = [];
  #restLength = 0;

  /** @param lengthMax most bytes of a line. */
  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax;
  }

  /**
   * Takes bytes, gives the lines that are now complete, without their newlines.
   *
   * @throws GigatunError PROTOCOL when a line is too long.
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#keep(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#rest).toString('utf8'));
      this.#rest = [];
      this.#restLength = 0;
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
    return lines;
  }

  #keep(part: Buffer): void {
    this.#restLength += part.length;
    if (this.#restLength > this.#lengthMax) {
      throw new GigatunError('PROTOCOL', `expected a line of at most ${this.#lengthMax} bytes, got a longer one`);
    }
    if (part.length > 0) this.#rest.push(part);
  }
}

/** Reads a request; @throws GigatunError PROTOCOL when it is none. */
export function parseRequest(line: string): ControlRequest {
  const fields = parseObject(line);
  const id = idOf(fields.id);
  const method = CONTROL_METHODS.find((known) => known === fields.method);
  if (id !== undefined && method !== undefined) return { id, method };
  throw new GigatunError('PROTOCOL', `expected {"id":…,"method":…} with a method of: ${CONTROL_METHODS.join(', ')}`);
}

/** The id of a line that may be a request, for the error that answers it. */
export function requestIdOf(line: string): RequestId {
  try {
    return idOf(parseObject(line).id) ?? null;
  } catch {
    return null;
  }
}

/** Reads an answer; @throws GigatunError PROTOCOL when it is none. */
export function parseAnswer(line: string): ControlAnswer {
  const fields = parseObject(line);
  const id = idOf(fields.id);
  if (id === undefined) throw new GigatunError('PROTOCOL', 'expected an answer with an id, got none');
  if ('result' in fields) return { id, result: fields.result };
  const { code, message } = asRecord(fields.error);
  return { id, error: { code: errorCodeOf(code), message: typeof message === 'string' ? message : 'no reason given' } };
}

/** A code of the closed list; anything else is PROTOCOL. */
export function errorCodeOf(value: unknown): ErrorCode {
  return isErrorCode(value) ? value : 'PROTOCOL';
}

function parseObject(line: string): Record<string, unknown> {
  try {
    return asRecord(JSON.parse(line));
  } catch (cause) {
    throw new GigatunError('PROTOCOL', 'expected a JSON object on one line, got something else', { cause });
  }
}

/** The fields of an object; of anything else, none. */
export function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function idOf(value: unknown): RequestId | undefined {
  return typeof value === 'number' || typeof value === 'string' || value === null ? value : undefined;
}
