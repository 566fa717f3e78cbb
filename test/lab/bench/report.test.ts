/** A bench result as tables and as a picture. */
import { describe, expect, it } from 'vitest';
import { toChart } from '../../../src/lab/bench/chart.ts';
import { toMarkdown } from '../../../src/lab/bench/markdown.ts';
import { document, element, text } from '../../../src/lab/bench/svg.ts';
import { benchResult } from '../support/bench-result.ts';

describe('the tables', () => {
  const markdown = toMarkdown(benchResult());
  it('name machine, conditions and what was compared', () => {
    expect(markdown).toContain('Linux 6.18.0, Node.js v20.20.2');
    expect(markdown).toContain(
      'Medians of 3 interleaved rounds, 4 s per load; MTU 1420 inside, 1500 outside; TCP cubic.',
    );
    expect(markdown).toContain('- title of gigatun: version of gigatun');
  });
  it('hold the medians', () => {
    expect(markdown).toContain('| title of gigatun | 4.50 (4.25 – 5.00) |');
    expect(markdown).toContain('| title of wireguard-go | 0.80 (0.70 – 0.90) |');
    expect(markdown).toContain('| title of gigatun | 121 | 0.25 / 0.61 | 100 |');
  });
  it('hold the ratios to every other tunnel', () => {
    expect(markdown).toContain('| Gbit/s, gigatun / wireguard-go | 5.63 |');
    expect(markdown).toContain('| CPU-s per GB, gigatun / floor | 1.65 |');
  });
  it('give no CPU time to what has no processes', () => {
    const [, costs = ''] = markdown.split('## CPU-seconds per GB');
    expect(costs.split('##')[0]).not.toContain('veth');
  });
  it('hold the proofs: whole transfers and balanced books', () => {
    expect(markdown).toContain('| title of gigatun | 160 | 0 | 8 of 8 |');
    expect(markdown).toContain('| end a | 0.0010 % | -1.23 % | 1.6 points |');
  });
  it('name failures and warnings', () => {
    const bad = benchResult({
      warnings: ['busy'],
      failures: [{ test: 'udp64', subject: 'floor', message: 'lost\nmore' }],
    });
    expect(toMarkdown(bad)).toContain('**busy**');
    expect(toMarkdown(bad)).toContain('- floor, UDP, 64 bytes: lost\n');
  });
  it('have as many cells in each row as in the head', () => {
    for (const table of markdown.match(/(^\|.*\n?)+/gm) ?? []) {
      const widths = table
        .trim()
        .split('\n')
        .map((row) => row.split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
  });
});

describe('the chart', () => {
  const svg = toChart(benchResult());
  it('is well-formed', () => expectWellFormed(svg));
  it('has a white ground, a panel for each figure that was measured, and a bar for each subject in it', () => {
    expect(svg).toContain('fill="#ffffff"');
    expect(svg.match(/TCP, 1 stream: Gbit\/s/g)).toHaveLength(1);
    expect(svg).not.toContain('TCP, 4 streams');
    expect(svg.match(/>wireguard-go</g)).toHaveLength(3);
  });
  it('draws bars in proportion', () => {
    const panel = svg.split('TCP, 1 stream: Gbit/s')[1]?.split('<g ')[0] ?? '';
    const widths = [...panel.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(widths).toHaveLength(4);
    expect((widths[2] ?? 0) / (widths[0] ?? 1)).toBeCloseTo(4.5 / 25, 2);
  });
  it('stays within its width', () => {
    const width = Number(/ width="(\d+)"/.exec(svg)?.[1]);
    for (const [, x, length] of svg.matchAll(/translate\((\d+) [\s\S]*?width="([\d.]+)"/g)) {
      expect(Number(x) + Number(length)).toBeLessThan(width);
    }
  });
  it('of nothing is an empty picture, not a crash', () =>
    expectWellFormed(toChart(benchResult({ figures: {}, subjects: [] }))));
});

describe('SVG', () => {
  it('escapes text and attributes', () => {
    const picture = document(10, 10, '<&>', text(1, 2, 'a < b & "c"', { id: `'"<` }), element('rect', { x: 1 }));
    expectWellFormed(picture);
    expect(picture).toContain('a &#60; b &#38; &#34;c&#34;');
  });
});

/** A small XML reader: one root, every element closed in order, no stray markup in text or attributes. */
function expectWellFormed(xml: string): void {
  const open: string[] = [];
  let roots = 0;
  const rest = xml
    .trim()
    .replace(
      /<(\/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(\/?)>/g,
      (_, closing: string, name: string, attributes: string, empty: string) => {
        expect(attributes).not.toMatch(/&(?!#\d+;)/);
        if (open.length === 0) roots++;
        if (closing === '/') expect(open.pop()).toBe(name);
        else if (empty !== '/') open.push(name);
        return '';
      },
    );
  expect(open).toEqual([]);
  expect(roots).toBe(1);
  expect(rest).not.toMatch(/[<>]|&(?!#\d+;)/);
}
