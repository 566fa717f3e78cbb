/** Errors that end a worker thread, as they arrive in this one. */
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { GigatunError } from '../../src/errors.ts';
import { laneError } from '../../src/lane-error.ts';

/** What the `error` event of a worker brings that throws this. */
async function thrownInWorker(expression: string): Promise<unknown> {
  const script = `class GigatunError extends Error {
      constructor(code, message, details) { super(message); this.name = 'GigatunError'; Object.assign(this, { code }, details); }
    }
    throw ${expression};`;
  const worker = new Worker(script, { eval: true });
  return await new Promise((resolve) => worker.once('error', resolve));
}

test('a GigatunError of a lane is told as what it is', async () => {
  const thrown = await thrownInWorker(
    `new GigatunError('UNSUPPORTED', 'no such back end', { errno: 95, syscall: 'aead' })`,
  );
  const error = laneError(3, thrown);
  expect(error).toBeInstanceOf(GigatunError);
  expect(error).toMatchObject({ code: 'UNSUPPORTED', message: 'no such back end', errno: 95, syscall: 'aead' });
  expect(error.cause).toBe(thrown);
});

test.each([
  ['a TypeError', `new TypeError('x is not a function')`],
  ['a system error', `Object.assign(new Error('EBADF: read'), { code: 'EBADF', syscall: 'read', errno: 9 })`],
  ['a code that is not on the list', `new GigatunError('toString', 'x')`],
  ['another class with a code of the list', `Object.assign(new Error('x'), { code: 'BUSY' })`],
  ['no error at all', `'text'`],
])('%s is INTERNAL and names the lane', async (_, expression) => {
  const error = laneError(3, await thrownInWorker(expression));
  expect(error).toMatchObject({ code: 'INTERNAL', message: expect.stringMatching(/^lane 3 failed: /) });
});
