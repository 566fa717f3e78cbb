/** Progress on a terminal and elsewhere. */
import { describe, expect, it } from 'vitest';
import { bar, roughDuration, runPhase } from '../../src/lab/progress.ts';

function screen(isTTY: boolean): { isTTY: boolean; text: () => string; write: (text: string) => void } {
  let all = '';
  return {
    isTTY,
    text: () => all,
    write: (text) => {
      all += text;
    },
  };
}

describe('a phase', () => {
  it('elsewhere is one line at its start and one at its end', async () => {
    const plain = screen(false);
    await runPhase(plain, 'counting', 1, async () => 7, String);
    expect(plain.text()).toMatch(/^counting …\ncounting +7\n$/);
  });
  it('on a terminal redraws its line, and leaves the result', async () => {
    const terminal = screen(true);
    await runPhase(
      terminal,
      'counting',
      1,
      () => new Promise((resolve) => setTimeout(resolve, 250)),
      () => 'ready',
    );
    const frames = terminal.text().split('\r\x1b[K');
    expect(frames.length).toBeGreaterThan(3);
    expect(frames[1]).toMatch(/^counting +[█░]{24} 0\.0 \/ 1\.0 s$/);
    expect(frames.at(-1)).toMatch(/^counting +ready\n$/);
  });
  it('that fails says so and throws', async () => {
    const plain = screen(false);
    const failing = runPhase(plain, 'counting', 1, () => Promise.reject(new Error('lost')), String);
    await expect(failing).rejects.toThrowError('lost');
    expect(plain.text()).toMatch(/counting +failed\n$/);
  });
});

it.each([
  [0, 4, '░'.repeat(24)],
  [2, 4, '█'.repeat(12) + '░'.repeat(12)],
  [9, 4, '█'.repeat(24)],
  [1, 0, '█'.repeat(24)],
])('after %d of %d seconds the bar is right', (elapsed, seconds, drawn) => {
  expect(bar(elapsed, seconds).split(' ')[0]).toBe(drawn);
});

it.each([
  [12.2, '13 s'],
  [89, '89 s'],
  [600, '10 min'],
])('%d seconds are about %s', (seconds, text) => expect(roughDuration(seconds)).toBe(text));
