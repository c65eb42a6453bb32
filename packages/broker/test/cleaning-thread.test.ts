import assert from 'node:assert/strict';
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CleaningThread } from '../src/cleaning-thread.ts';
import { DiskError } from '../src/platform/disk.ts';
import { CleaningError, type CleaningRequest, type CleaningStep } from '../src/storage/cleaner/types.ts';
import { makeDurable, newLog, openStore, temporaryFolder } from './storage/helpers.ts';
import { appendKeyed, COMPACTED } from './storage/keyed.ts';

const UNLIMITED = { bytesPerSecondMax: Infinity };
const ROUNDS = 40;

describe('the thread that cleans logs', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let thread: CleaningThread;
  let request: CleaningRequest;
  let steps: CleaningStep[];
  const onStep = (step: CleaningStep): void => void steps.push(step);

  beforeEach(async () => {
    folder = temporaryFolder();
    thread = new CleaningThread();
    steps = [];
    const { store } = await openStore(folder.path);
    const log = newLog(store, COMPACTED);
    const bases: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      bases.push(log.endOffset);
      appendKeyed(log, [{ key: `k${round % 3}`, value: `${round}`.padEnd(1500, '.') }]);
    }
    await makeDurable(store, log);
    await store.close();
    request = {
      folder: `${folder.path}/orders-0`,
      segments: bases.slice(0, -1).map((baseOffset) => ({
        baseOffset,
        endOffset: baseOffset + 1,
        sizeBytes: statSync(`${folder.path}/orders-0/${String(baseOffset).padStart(20, '0')}.log`).size,
        offsetEntries: 0,
        timeEntries: 1,
        abortedEntries: 0,
      })),
      dirtyFrom: 0,
      nowMs: 1,
      deleteRetentionMs: 0,
      segmentBytes: 10_000,
      segmentIndexBytes: 1000,
      indexIntervalBytes: 4096,
      lastOffsets: undefined,
      markerEpochs: new Map(),
      abortedBeyond: [],
      dedupeBytes: 100_000,
    };
  });

  afterEach(() => {
    thread.idle();
    folder.remove();
  });

  const cleanedFiles = (): string[] =>
    readdirSync(request.folder).filter((name) => name.endsWith('.log.cleaned'));

  it('writes cleaned segments and says how far it came', async () => {
    const result = await thread.start(request, UNLIMITED, onStep).result;
    assert.deepEqual(result, { cleanedTo: ROUNDS - 1, keys: 3 });
    const groups = steps.filter((step) => step.kind === 'group');
    assert.equal(cleanedFiles().length, groups.length);
    assert.ok(groups.length > 1 && groups.length < ROUNDS / 3);
    const last = steps.findLast((step) => step.kind === 'progress');
    assert.equal(last?.counts.recordsRetained, 3);
    assert.equal(last?.counts.recordsRead, ROUNDS - 1);
  });

  it('gives up when it is told to, also while it pauses, and leaves nothing half-written', async () => {
    const run = thread.start(request, { bytesPerSecondMax: 1000 }, (step) => {
      onStep(step);
      if (step.kind === 'progress') run.abort();
    });
    await assert.rejects(run.result, (error) => error instanceof CleaningError && error.code === 'aborted');
    assert.ok(cleanedFiles().length <= steps.filter((step) => step.kind === 'group').length);
    const again = await thread.start(request, UNLIMITED, onStep).result;
    assert.equal(again.keys, 3);
  });

  it('reports errors of the disk as such, and damage as damage', async () => {
    const missing = { ...request, folder: `${folder.path}/nowhere` };
    await assert.rejects(
      thread.start(missing, UNLIMITED, onStep).result,
      (error) => error instanceof DiskError && error.code === 'ENOENT' && error.operation === 'open',
    );
    truncateSync(`${request.folder}/${'0'.repeat(20)}.log`, 100);
    await assert.rejects(
      thread.start(request, UNLIMITED, onStep).result,
      (error) => error instanceof CleaningError && error.code === 'corrupt',
    );
  });

  it('outlives a bug in a cleaning', async () => {
    const senseless = { ...request, segments: undefined as unknown as CleaningRequest['segments'] };
    await assert.rejects(thread.start(senseless, UNLIMITED, onStep).result, /TypeError/);
    const result = await thread.start(request, UNLIMITED, onStep).result;
    assert.equal(result.cleanedTo, ROUNDS - 1);
  });
});
