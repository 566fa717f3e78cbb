/** What SIGHUP does, with a terminal and without, before a tunnel is up and behind. */
import { afterEach, describe, expect, it } from 'vitest';
import { onHangUp } from '../../src/cli/hang-up.ts';

const others = process.listeners('SIGHUP');
afterEach(() => {
  for (const listener of process.listeners('SIGHUP')) if (!others.includes(listener)) process.off('SIGHUP', listener);
});

function hangUp(): void {
  process.emit('SIGHUP', 'SIGHUP');
}

/** Listens, and notes what happens; each reload ends when it is told to. */
function listening(hasTerminal: boolean) {
  const events: string[] = [];
  const ends: (() => void)[] = [];
  const { ready } = onHangUp((signal) => events.push(`end by ${signal}`), hasTerminal);
  const reload = async (): Promise<void> => {
    events.push('reload');
    await new Promise<void>((resolve) => ends.push(resolve));
  };
  const finish = async (): Promise<void> => {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { events, ready, reload, finish };
}

describe('SIGHUP', () => {
  it('with a terminal asks for an end, at any time', () => {
    const { events, ready, reload } = listening(true);
    hangUp();
    ready(reload);
    hangUp();
    expect(events).toEqual(['end by SIGHUP', 'end by SIGHUP']);
  });

  it('without a terminal reloads', () => {
    const { events, ready, reload } = listening(false);
    ready(reload);
    expect(events).toEqual([]);
    hangUp();
    expect(events).toEqual(['reload']);
  });

  it('during the start is one reload behind it', () => {
    const { events, ready, reload } = listening(false);
    hangUp();
    hangUp();
    expect(events).toEqual([]);
    ready(reload);
    expect(events).toEqual(['reload']);
  });

  it('during a reload, however often, is one more behind it', async () => {
    const { events, ready, reload, finish } = listening(false);
    ready(reload);
    for (let at = 0; at < 5; at++) hangUp();
    expect(events).toEqual(['reload']);
    await finish();
    expect(events).toEqual(['reload', 'reload']);
    await finish();
    expect(events).toEqual(['reload', 'reload']);
    hangUp();
    expect(events).toHaveLength(3);
  });

  it('without a terminal and without a file asks for an end, when the start is over', () => {
    const { events, ready } = listening(false);
    hangUp();
    expect(events).toEqual([]);
    ready(null);
    hangUp();
    expect(events).toEqual(['end by SIGHUP', 'end by SIGHUP']);
  });
});
