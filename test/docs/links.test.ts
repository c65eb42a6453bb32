import assert from 'node:assert/strict';
import { existsSync, globSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

import { blocksOf, readPage, ROOT } from './page.ts';

const PAGES = [...globSync('*.md', { cwd: ROOT }), ...globSync('docs/**/*.md', { cwd: ROOT })].toSorted();
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;
/** Settings of clients, which the pages name beside the broker's. */
const CLIENT_SETTINGS: ReadonlySet<string> = new Set([
  'auto.offset.reset',
  'batch.size',
  'group.instance.id',
  'group.protocol',
  'linger.ms',
  'max.poll.interval.ms',
]);

function proseOf(page: string): string {
  let prose = page;
  for (const { text } of blocksOf(page)) prose = prose.replace(text, '');
  return prose;
}

/** As GitHub makes them of headings. */
function anchorsOf(page: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of proseOf(page).matchAll(/^#+ (.+)$/gm)) {
    const anchor = heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-');
    let unique = anchor;
    for (let count = 1; anchors.has(unique); count++) unique = `${anchor}-${count}`;
    anchors.add(unique);
  }
  return anchors;
}

describe('The pages of the documentation', () => {
  for (const page of PAGES) {
    it(`${page} links to what is there`, () => {
      for (const [link, target] of proseOf(readPage(page)).matchAll(LINK)) {
        if (/^https?:/.test(target!)) continue;
        const [file, anchor] = target!.split('#');
        const linked = file === '' ? page : path.posix.join(path.posix.dirname(page), file!);
        assert.ok(existsSync(path.join(ROOT, linked)), `${link} leads nowhere`);
        if (anchor === undefined) continue;
        assert.ok(statSync(path.join(ROOT, linked)).isFile(), link);
        assert.ok(anchorsOf(readPage(linked)).has(anchor), `${link}: no such heading`);
      }
    });
  }

  it('name settings that there are', () => {
    const reference = readPage('docs/configuration.md');
    const known = new Set([...reference.matchAll(/`([\w.-]+)`/g)].map(([, name]) => name!));
    const isSetting = /^[a-z]+(?:\.[a-z]+)+$/;
    for (const page of ['README.md', 'docs/operations.md', 'docs/embedding.md']) {
      for (const [, name] of proseOf(readPage(page)).matchAll(/`([^`\n]+)`/g)) {
        // Names of files look alike, but for their endings.
        if (!isSetting.test(name!) || /\.(?:js|mjs|md|py|json|yaml|properties)$/.test(name!)) continue;
        assert.ok(known.has(name!) || CLIENT_SETTINGS.has(name!), `${page} names ${name}`);
      }
    }
  });
});
