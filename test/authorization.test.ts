/** Requests of which a part is refused: the rest is served, and nothing of the refused part is given away. Over the wire, as the matrix. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { apis, ZERO_UUID } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';
import { Broker } from 'polylog';
import type { Permission, Resources } from './authorization/case.ts';
import { AclFixture } from './authorization/fixture.ts';
import { KafkaClient } from './longrun/fuzz/client.ts';

const NONE = 0;
const UNKNOWN_TOPIC = 3;
const TOPIC_FAILED = 29;
const GROUP_FAILED = 30;
const NOT_ATTEMPTED = 55;

const RECORDS = [{ key: null, value: Buffer.from('v'), timestamp: 1_767_225_600_000 }];

interface Cursor {
  readonly topicName: string;
  readonly partitionIndex: number;
}

function topic(operation: Permission['operation'], name: string): Permission {
  return { operation, type: 'TOPIC', name };
}

function group(operation: Permission['operation'], name: string): Permission {
  return { operation, type: 'GROUP', name };
}

describe('A request that is allowed in part', () => {
  let fixture: AclFixture;
  /** Two topics and groups that exist. */
  let mine: Resources;
  let theirs: Resources;
  before(async () => {
    fixture = await AclFixture.open();
    mine = await fixture.resources(true, true);
    theirs = await fixture.resources(true, true);
  });
  afterEach(() => fixture.clear());
  after(() => fixture.close());

  async function endOffset(name: string): Promise<number> {
    const { topics } = await fixture.admin.request(apis.listOffsets, 7, {
      replicaId: -1,
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    });
    return topics[0]!.partitions[0]!.offset;
  }

  function produceTo(names: readonly string[], acks: number) {
    return {
      acks,
      timeoutMs: 5000,
      topicData: names.map((name) => ({
        name,
        partitionData: [{ index: 0, records: buildBatch({ records: RECORDS }) }],
      })),
    };
  }

  test('writes to the topics that it may write to', async () => {
    await fixture.allow([topic('WRITE', mine.topic)]);
    const at = await endOffset(mine.topic);
    const { responses } = await fixture.client.request(
      apis.produce,
      11,
      produceTo([theirs.topic, mine.topic, 'missing'], -1),
    );
    const codes = responses.map(({ name, partitionResponses }) => [name, partitionResponses[0]!.errorCode]);
    assert.deepEqual(
      new Map(codes as [string, number][]),
      new Map([
        [theirs.topic, TOPIC_FAILED],
        [mine.topic, NONE],
        ['missing', TOPIC_FAILED],
      ]),
    );
    assert.equal(await endOffset(mine.topic), at + 1);
    assert.equal(await endOffset(theirs.topic), 0);
  });

  test('without an answer writes what it may, and loses its connection', async () => {
    await fixture.allow([topic('WRITE', mine.topic)]);
    for (const names of [[theirs.topic, mine.topic], [theirs.topic]]) {
      const at = await endOffset(mine.topic);
      const client = await fixture.connect();
      await assert.rejects(client.request(apis.produce, 11, produceTo(names, 0)), /closed the connection/);
      // Nobody has waited until it was safe.
      const expected = at + names.length - 1;
      for (let tries = 0; tries < 100 && (await endOffset(mine.topic)) < expected; tries++) await sleep(20);
      assert.equal(await endOffset(mine.topic), expected);
      assert.equal(await endOffset(theirs.topic), 0);
    }
  });

  test('without an answer loses its connection too where it is refused as a whole', async () => {
    await fixture.allow([topic('WRITE', mine.topic)]);
    const { transactionalId, producerId, producerEpoch } = mine;
    const records = buildBatch({
      records: RECORDS,
      transactional: true,
      producerId,
      producerEpoch,
      baseSequence: 0,
    });
    const client = await fixture.connect();
    const request = {
      transactionalId,
      acks: 0,
      timeoutMs: 5000,
      topicData: [{ name: mine.topic, partitionData: [{ index: 0, records }] }],
    };
    await assert.rejects(client.request(apis.produce, 11, request), /closed the connection/);
  });

  test('is asked anew with every fetch of a session', async () => {
    await fixture.admin.request(apis.produce, 11, produceTo([mine.topic, theirs.topic], -1));
    const wanted = (name: string) => ({
      topic: name,
      partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000 }],
    });
    let epoch = 0;
    let sessionId = 0;
    const fetch = async (topics: readonly string[]): Promise<Map<string, number>> => {
      const answer = await fixture.client.request(apis.fetch, 12, {
        maxWaitMs: 0,
        minBytes: 0,
        sessionId,
        sessionEpoch: epoch++,
        topics: topics.map(wanted),
      });
      assert.equal(answer.errorCode, NONE);
      ({ sessionId } = answer);
      return new Map(answer.responses.map((one) => [one.topic, one.partitions[0]!.errorCode]));
    };
    await fixture.allow([topic('READ', mine.topic)]);
    const first = await fetch([mine.topic, theirs.topic]);
    assert.deepEqual(
      first,
      new Map([
        [mine.topic, NONE],
        [theirs.topic, TOPIC_FAILED],
      ]),
    );
    assert.notEqual(sessionId, 0);
    await fixture.clear();
    // Nothing is named: the session knows what it is about.
    const revoked = await fetch([]);
    assert.deepEqual(
      revoked,
      new Map([
        [mine.topic, TOPIC_FAILED],
        [theirs.topic, TOPIC_FAILED],
      ]),
    );
    await fixture.allow([topic('READ', mine.topic), topic('READ', theirs.topic)]);
    assert.deepEqual(
      await fetch([]),
      new Map([
        [mine.topic, NONE],
        [theirs.topic, NONE],
      ]),
    );
  });

  for (const version of [0, 9, 12]) {
    test(`is told of topics that it may see, and of brokers (Metadata v${version})`, async () => {
      const names = [mine.topic, theirs.topic, theirs.topic, 'missing'];
      const ask = async () => {
        const { topics, brokers } = await fixture.client.request(apis.metadata, version, {
          topics: names.map((name) => ({ name })),
          ...(version >= 4 ? { allowAutoTopicCreation: false } : {}),
        });
        assert.equal(brokers.length, 1);
        for (const { errorCode, topicId, partitions } of topics) {
          if (errorCode === NONE) continue;
          assert.equal(topicId, ZERO_UUID);
          assert.deepEqual(partitions, []);
        }
        return topics.map(({ name, errorCode }) => `${name} ${errorCode}`).toSorted();
      };
      const refused = (...all: string[]) => all.map((name) => `${name} ${TOPIC_FAILED}`);
      assert.deepEqual(await ask(), refused(mine.topic, theirs.topic, 'missing').toSorted());
      await fixture.allow([topic('DESCRIBE', mine.topic)]);
      assert.deepEqual(await ask(), [...refused(theirs.topic, 'missing'), `${mine.topic} 0`].toSorted());
    });
  }

  test('is told the offsets of its topics in its groups', async () => {
    const partitions = { partitionIndexes: [0] };
    await fixture.allow([group('DESCRIBE', mine.group), topic('DESCRIBE', mine.otherTopic)]);
    const { groups } = await fixture.client.request(apis.offsetFetch, 8, {
      groups: [
        { groupId: theirs.group, topics: null },
        {
          groupId: mine.group,
          topics: [
            { name: theirs.topic, ...partitions },
            { name: mine.otherTopic, ...partitions },
          ],
        },
      ],
    });
    const shown = groups.map(({ groupId, errorCode, topics }) => ({
      groupId,
      errorCode,
      topics: topics
        .map(({ name, partitions: [first] }) => `${name} ${first!.errorCode} ${first!.committedOffset}`)
        .toSorted(),
    }));
    assert.deepEqual(
      shown.toSorted((left, right) => left.errorCode - right.errorCode),
      [
        {
          groupId: mine.group,
          errorCode: NONE,
          topics: [`${mine.otherTopic} 0 0`, `${theirs.topic} ${TOPIC_FAILED} -1`].toSorted(),
        },
        { groupId: theirs.group, errorCode: GROUP_FAILED, topics: [] },
      ],
    );
  });

  test('adds no partition to a transaction beside one that it may not write to', async () => {
    await fixture.allow([
      { operation: 'WRITE', type: 'TRANSACTIONAL_ID', name: mine.transactionalId },
      topic('WRITE', mine.topic),
      topic('WRITE', 'missing'),
    ]);
    const { resultsByTopicV3AndBelow } = await fixture.client.request(apis.addPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: mine.transactionalId,
      v3AndBelowProducerId: mine.producerId,
      v3AndBelowProducerEpoch: mine.producerEpoch,
      v3AndBelowTopics: [mine.topic, theirs.topic, 'missing'].map((name) => ({ name, partitions: [0] })),
    });
    assert.deepEqual(
      new Map(
        resultsByTopicV3AndBelow.map(({ name, resultsByPartition }) => [
          name,
          resultsByPartition[0]!.partitionErrorCode,
        ]),
      ),
      new Map([
        [mine.topic, NOT_ATTEMPTED],
        [theirs.topic, TOPIC_FAILED],
        ['missing', UNKNOWN_TOPIC],
      ]),
    );
  });

  test('pages through topics that it may see, and no cursor names another', async () => {
    const seen = [mine.topic, mine.otherTopic].toSorted();
    await fixture.allow(seen.map((name) => topic('DESCRIBE', name)));
    const found: string[] = [];
    let cursor: Cursor | null = null;
    do {
      const answer: { topics: readonly { name: string | null }[]; nextCursor: Cursor | null } =
        await fixture.client.request(apis.describeTopicPartitions, 0, {
          topics: [],
          responsePartitionLimit: 1,
          cursor,
        });
      found.push(...answer.topics.map(({ name }) => name ?? ''));
      cursor = answer.nextCursor;
      if (cursor !== null) assert.ok(seen.includes(cursor.topicName), cursor.topicName);
    } while (cursor !== null);
    assert.deepEqual(found, seen);
  });

  test('makes the access rules that are legal, and names what is wrong with the others', async () => {
    const acl = {
      resourceType: 2,
      resourceName: 'x',
      resourcePatternType: 3,
      principal: 'User:nobody',
      host: '*',
      operation: 3,
      permissionType: 3,
    };
    const { results } = await fixture.admin.request(apis.createAcls, 3, {
      creations: [
        { ...acl, resourceName: '' },
        acl,
        { ...acl, resourceType: 4 },
        { ...acl, principal: 'nobody' },
      ],
    });
    assert.deepEqual(
      results.map(({ errorCode }) => errorCode),
      [42, NONE, 42, 42],
    );
    const filter = {
      resourceTypeFilter: 1,
      resourceNameFilter: null,
      patternTypeFilter: 1,
      principalFilter: 'User:nobody',
      hostFilter: null,
      operation: 1,
      permissionType: 1,
    };
    if (fixture.isApacheKafka) await sleep(500);
    const { filterResults } = await fixture.admin.request(apis.deleteAcls, 3, { filters: [filter, filter] });
    const removed = filterResults.map(({ matchingAcls }) => matchingAcls.length);
    assert.deepEqual(removed, [1, 1]);
  });
});

test('Access rules outlive the broker, and deny by default', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-acls-'));
  const start = (config: Record<string, string>) =>
    Broker.start({ data: path.join(folder, 'data'), http: false, config });
  const metadata = async (broker: Broker): Promise<number[]> => {
    const client = await KafkaClient.open(Number(broker.kafkaAddress.split(':')[1]));
    const names = ['orders', 'others'];
    const { topics } = await client.request(apis.metadata, 12, { topics: names.map((name) => ({ name })) });
    client.close();
    return topics
      .toSorted((left, right) => (left.name! < right.name! ? -1 : 1))
      .map(({ errorCode }) => errorCode);
  };
  try {
    const open = await start({});
    assert.deepEqual(await metadata(open), [NONE, NONE]);
    await open.stop();
    const managed = await start({ 'authorization.enabled': 'true', 'super.users': 'User:ANONYMOUS' });
    assert.deepEqual(await metadata(managed), [NONE, NONE]);
    const client = await KafkaClient.open(Number(managed.kafkaAddress.split(':')[1]));
    const rule = {
      resourceType: 2,
      resourceName: 'ord',
      resourcePatternType: 4,
      host: '*',
      permissionType: 3,
    };
    const { results } = await client.request(apis.createAcls, 3, {
      creations: [{ ...rule, principal: 'User:*', operation: 8 }],
    });
    assert.equal(results[0]!.errorCode, NONE);
    client.close();
    await managed.stop();
    const closed = await start({ 'authorization.enabled': 'true' });
    assert.deepEqual(await metadata(closed), [NONE, TOPIC_FAILED]);
    await closed.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
