import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTools } from '../../cli/report/chart';
import { htmlReport } from '../../cli/report/html';
import { htmlReview } from '../../cli/review/html';
import { sampleNames, sampleReview } from '../cli/samples';
import { sampleFigures, sampleReport } from '../cli/reportSample';
import { Browser } from './browser';

const folder = mkdtempSync(join(tmpdir(), 'review-page-'));
let browser: Browser;

beforeAll(async () => {
  browser = await Browser.start();
});

afterAll(async () => {
  await browser.end();
  rmSync(folder, { recursive: true });
});

/** The report, or the review of a sample. */
const pageOf = async (name: string): Promise<string> =>
  name === 'report'
    ? htmlReport({ report: sampleReport, figures: sampleFigures }, await loadTools())
    : htmlReview(sampleReview(name));

async function open(name: string, width: number, scheme: 'light' | 'dark'): Promise<void> {
  const file = join(folder, `${name}.html`);
  writeFileSync(file, await pageOf(name));
  await browser.open(file, width, scheme);
}

/** The least contrast of any text with what is behind it, as WCAG 2 has it. */
const leastContrast = `(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const all = [...document.body.querySelectorAll('*')].filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''));
  return Math.min(...all.map((element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
})()`;

describe('a page in a browser', () => {
  it.each([...sampleNames, 'report'])(
    'of %s fits, can be read, and asks nobody for anything',
    async (name) => {
      const pages: string[] = [];
      for (const width of [1280, 390])
        for (const scheme of ['light', 'dark'] as const) {
          await open(name, width, scheme);
          const seen = await browser.evaluate<{ wide: boolean; page: string }>(
            '({ wide: document.documentElement.scrollWidth > innerWidth, page: getComputedStyle(document.body).backgroundColor })',
          );
          expect([width, scheme, seen.wide]).toEqual([width, scheme, false]);
          expect(await browser.evaluate<number>(leastContrast)).toBeGreaterThanOrEqual(4.5);
          pages.push(seen.page);
          const asked = browser.events
            .filter(({ method }) => method === 'Network.requestWillBeSent')
            .map(({ params }) => (params.request as { url: string }).url);
          expect(asked).toEqual([`file://${join(folder, `${name}.html`)}`]);
          // A style or script that its policy refuses would be logged.
          const logged = browser.events.filter(({ method }) => /^Log\.|consoleAPI/.test(method));
          expect(logged).toEqual([]);
        }
      expect(pages).toEqual([pages[0], pages[1], pages[0], pages[1]]);
      expect(pages[0]).not.toBe(pages[1]);
    },
  );

  it('is used by keyboard: each link and part in turn, with a mark on what has the focus', async () => {
    await open('threeChanges', 1280, 'light');
    const focused = () =>
      browser.evaluate<{ text: string; outline: string }>(
        '({ text: document.activeElement.textContent.trim(), outline: getComputedStyle(document.activeElement).outlineStyle })',
      );
    const wanted = await browser.evaluate<string[]>(
      "[...document.querySelectorAll('a, summary')].map((element) => element.textContent.trim())",
    );
    expect(wanted.length).toBeGreaterThan(8);
    for (const text of wanted) {
      await browser.press('Tab');
      expect(await focused()).toEqual({ text, outline: 'solid' });
    }
    const lastIsOpen = () =>
      browser.evaluate<boolean>("[...document.querySelectorAll('details')].at(-1).open");
    expect(await lastIsOpen()).toBe(true);
    await browser.press('Enter');
    expect(await lastIsOpen()).toBe(false);

    await open('threeChanges', 1280, 'light');
    await browser.press('Tab');
    await browser.press('Enter');
    expect(await browser.evaluate('location.hash')).toBe('#dns');
  });

  it('shows one form of each plot, and the numbers of each by keyboard', async () => {
    for (const [width, form] of [
      [1280, 'wide'],
      [390, 'narrow'],
    ] as const) {
      await open('report', width, 'dark');
      const shown = await browser.evaluate<string[]>(
        "[...document.querySelectorAll('svg')].filter((plot) => plot.checkVisibility()).map((plot) => plot.getAttribute('class'))",
      );
      expect(shown.length).toBeGreaterThan(10);
      expect(new Set(shown)).toEqual(new Set([form]));
    }
    await browser.press('Tab');
    await browser.press('Enter');
    expect(
      await browser.evaluate(
        "({ open: document.querySelector('details').open, rows: document.querySelectorAll('details[open] tbody tr').length, outline: getComputedStyle(document.activeElement).outlineStyle })",
      ),
    ).toEqual({ open: true, rows: 13, outline: 'solid' });
  });
});
