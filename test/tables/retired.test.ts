/** Things that lanes may still use: when are they free? When all lanes have answered what was sent after the farewell. */
import { expect, it } from 'vitest';
import { RetiredThings } from '../../src/tables/retired.ts';

it('a thing is free when all lanes have answered something that was sent after its farewell, the oldest first', () => {
  const free: string[] = [];
  const things = new RetiredThings<string>(2, (thing) => free.push(thing));
  things.add('a', 1);
  things.add('b', 1);
  things.add('c', 2);
  things.answered(0, 3);
  things.answered(1, 1);
  expect(free).toEqual([]);
  things.answered(1, 2);
  expect(free).toEqual(['a', 'b']);
  things.answered(1, 1);
  expect(free).toEqual(['a', 'b']);
  things.answered(1, 3);
  expect(free).toEqual(['a', 'b', 'c']);
  things.add('d', 3);
  things.answered(0, 9);
  things.answered(1, 9);
  expect(free).toEqual(['a', 'b', 'c', 'd']);
});
