import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apis, kafkaErrors, type InitOf, type MessageOf } from '@polylog/kafka-protocol';
import { subscription } from '../../groups/harness.ts';
import { groupWorld } from './group-world.ts';
import { BROKER_ID, PORT, type TestClient } from './harness.ts';

const errors = kafkaErrors;

type AnyApi = (typeof apis)[keyof typeof apis];

/** The newest version of the API that is not above `version`. */
function upTo(api: AnyApi, version: number): number {
  return Math.max(api.versionMin, Math.min(api.versionMax, version));
}

function versionsOf(api: AnyApi): number[] {
  return Array.from({ length: api.versionMax - api.versionMin + 1 }, (_, index) => api.versionMin + index);
}

const PROTOCOLS = [{ name: 'range', metadata: subscription('input') }];
const JOIN: InitOf<typeof apis.joinGroup.request> = {
  groupId: 'g',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  memberId: '',
  protocolType: 'consumer',
  protocols: PROTOCOLS,
};

async function joinedMember(
  client: TestClient,
  version: number,
  groupId: string,
): Promise<MessageOf<typeof apis.joinGroup.response>> {
  const v = upTo(apis.joinGroup, version);
  const first = await client.call(apis.joinGroup, v, { ...JOIN, groupId });
  if (v < 4) return first;
  assert.equal(first.errorCode, errors.MEMBER_ID_REQUIRED.code);
  return client.call(apis.joinGroup, v, { ...JOIN, groupId, memberId: first.memberId });
}

describe('the group APIs', () => {
  it('lead a member through its life, in every version', async () => {
    const { client, inputId } = await groupWorld();
    for (let version = 0; version <= 10; version++) {
      const groupId = `g${version}`;
      const v = (api: AnyApi): number => upTo(api, version);
      const many = v(apis.findCoordinator) >= 4;
      const found = await client.call(
        apis.findCoordinator,
        v(apis.findCoordinator),
        many ? { coordinatorKeys: [groupId] } : { key: groupId },
      );
      const coordinator = many ? found.coordinators[0]! : found;
      assert.deepEqual([coordinator.errorCode, coordinator.nodeId, coordinator.port], [0, BROKER_ID, PORT]);
      const joined = await joinedMember(client, version, groupId);
      assert.deepEqual([joined.errorCode, joined.generationId, joined.leader], [0, 1, joined.memberId]);
      const { memberId } = joined;
      const synced = await client.call(apis.syncGroup, v(apis.syncGroup), {
        groupId,
        generationId: 1,
        memberId,
        ...(v(apis.syncGroup) >= 5 ? { protocolType: 'consumer', protocolName: 'range' } : {}),
        assignments: [{ memberId, assignment: Buffer.from('all') }],
      });
      assert.equal(Buffer.from(synced.assignment).toString(), 'all');
      const alive = await client.call(apis.heartbeat, v(apis.heartbeat), {
        groupId,
        generationId: 1,
        memberId,
      });
      assert.equal(alive.errorCode, 0);
      const commitVersion = v(apis.offsetCommit);
      const committed = await client.call(apis.offsetCommit, commitVersion, {
        groupId,
        memberId,
        generationIdOrMemberEpoch: 1,
        topics: [
          {
            ...(commitVersion >= 10 ? { topicId: inputId } : { name: 'input' }),
            partitions: [
              { partitionIndex: 1, committedOffset: 0, committedMetadata: 'note' },
              { partitionIndex: 7, committedOffset: 0, committedMetadata: null },
              { partitionIndex: 0, committedOffset: 0, committedMetadata: 'x'.repeat(4097) },
            ],
          },
        ],
      });
      assert.deepEqual(
        committed.topics[0]!.partitions.map(({ errorCode }) => errorCode),
        [0, errors.UNKNOWN_TOPIC_OR_PARTITION.code, errors.OFFSET_METADATA_TOO_LARGE.code],
      );
      await assertFetched(client, v(apis.offsetFetch), groupId, inputId);
      const described = await client.call(apis.describeGroups, v(apis.describeGroups), { groups: [groupId] });
      const [group] = described.groups;
      assert.deepEqual([group!.groupState, group!.protocolData], ['Stable', 'range']);
      assert.equal(group!.members[0]!.clientHost, '/broker');
      assert.equal(Buffer.from(group!.members[0]!.memberAssignment).toString(), 'all');
      const busy = await client.call(apis.deleteGroups, v(apis.deleteGroups), { groupsNames: [groupId] });
      assert.equal(busy.results[0]!.errorCode, errors.NON_EMPTY_GROUP.code);
      const leaveVersion = v(apis.leaveGroup);
      const left = await client.call(
        apis.leaveGroup,
        leaveVersion,
        leaveVersion >= 3 ? { groupId, members: [{ memberId }] } : { groupId, memberId },
      );
      assert.equal(left.errorCode, 0);
      if (leaveVersion >= 3) assert.equal(left.members[0]!.errorCode, 0);
      const listVersion = v(apis.listGroups);
      const listed = await client.call(apis.listGroups, listVersion, {
        ...(listVersion >= 4 ? { statesFilter: ['empty'] } : {}),
        ...(listVersion >= 5 ? { typesFilter: ['classic'] } : {}),
      });
      assert.ok(listed.groups.some((one) => one.groupId === groupId));
      const deleted = await client.call(apis.deleteGroups, v(apis.deleteGroups), { groupsNames: [groupId] });
      assert.equal(deleted.results[0]!.errorCode, 0);
    }
  });

  async function assertFetched(
    client: TestClient,
    version: number,
    groupId: string,
    topicId: string,
  ): Promise<void> {
    const topic = version >= 10 ? { topicId } : { name: 'input' };
    const topics = [{ ...topic, partitionIndexes: [0, 1] }] as never;
    const some = await client.call(
      apis.offsetFetch,
      version,
      version >= 8 ? { groups: [{ groupId, topics }] } : { groupId, topics },
    );
    const answers = version >= 8 ? some.groups[0]!.topics : some.topics;
    assert.deepEqual(
      answers[0]!.partitions.map(({ committedOffset, metadata, errorCode }) => [
        committedOffset,
        metadata,
        errorCode,
      ]),
      [
        [-1, '', 0],
        [0, 'note', 0],
      ],
    );
    if (version < 2) return;
    const all = await client.call(
      apis.offsetFetch,
      version,
      version >= 8 ? { groups: [{ groupId, topics: null }] } : { groupId, topics: null },
    );
    const found = version >= 8 ? all.groups[0]!.topics : all.topics;
    assert.deepEqual(
      found.map(({ partitions }) => partitions.map(({ partitionIndex }) => partitionIndex)),
      [[1]],
    );
  }

  it('answer what is unknown with the error that each version has for it', async () => {
    const { client } = await groupWorld();
    for (const version of versionsOf(apis.joinGroup)) {
      const answer = await client.call(apis.joinGroup, version, { ...JOIN, memberId: 'nobody' });
      assert.equal(answer.errorCode, errors.UNKNOWN_MEMBER_ID.code);
      assert.equal(answer.protocolName, version < 7 ? '' : null);
    }
    for (const version of versionsOf(apis.syncGroup)) {
      const request = { groupId: 'g', generationId: 1, memberId: 'nobody', assignments: [] };
      const answer = await client.call(apis.syncGroup, version, request);
      assert.equal(answer.errorCode, errors.UNKNOWN_MEMBER_ID.code);
    }
    for (const version of versionsOf(apis.heartbeat)) {
      const answer = await client.call(apis.heartbeat, version, {
        groupId: 'g',
        generationId: 1,
        memberId: 'x',
      });
      assert.equal(answer.errorCode, errors.UNKNOWN_MEMBER_ID.code);
    }
    for (const version of versionsOf(apis.leaveGroup)) {
      const body =
        version >= 3 ? { groupId: 'g', members: [{ memberId: 'x' }] } : { groupId: 'g', memberId: 'x' };
      const answer = await client.call(apis.leaveGroup, version, body);
      const code = version >= 3 ? answer.members[0]!.errorCode : answer.errorCode;
      assert.equal(code, errors.UNKNOWN_MEMBER_ID.code);
    }
    for (const version of versionsOf(apis.describeGroups)) {
      const [group] = (await client.call(apis.describeGroups, version, { groups: ['g'] })).groups;
      assert.equal(group!.errorCode, version >= 6 ? errors.GROUP_ID_NOT_FOUND.code : 0);
      assert.equal(group!.groupState, 'Dead');
    }
    const gone = await client.call(apis.offsetDelete, 0, { groupId: 'g', topics: [] });
    assert.equal(gone.errorCode, errors.GROUP_ID_NOT_FOUND.code);
  });

  it('answer a group once, however often it is asked for', async () => {
    const { client } = await groupWorld();
    const groups = Array.from({ length: 5 }, () => ({ groupId: 'g', topics: null }));
    assert.equal((await client.call(apis.offsetFetch, 8, { groups })).groups.length, 1);
    const names = ['g', 'g', 'h'];
    assert.equal((await client.call(apis.describeGroups, 5, { groups: names })).groups.length, 2);
    assert.equal((await client.call(apis.deleteGroups, 2, { groupsNames: names })).results.length, 2);
  });

  it('can say in every version that a request is too long', async () => {
    const { world: made } = await groupWorld();
    const groups = Array.from({ length: 20_001 }, (_, index) => `g${index}`);
    for (const version of versionsOf(apis.describeGroups)) {
      const client = await made.connect();
      const answer = await client.call(apis.describeGroups, version, { groups });
      assert.equal(answer.groups[0]!.errorCode, errors.INVALID_REQUEST.code, `v${version}`);
    }
  });

  it('find no coordinator for what they do not coordinate', async () => {
    const { client } = await groupWorld();
    for (const version of versionsOf(apis.findCoordinator).filter((v) => v >= 1)) {
      const many = version >= 4;
      const answer = await client.call(apis.findCoordinator, version, {
        keyType: 2,
        ...(many ? { coordinatorKeys: ['t'] } : { key: 't' }),
      });
      const one = many ? answer.coordinators[0]! : answer;
      assert.equal(one.errorCode, errors.INVALID_REQUEST.code);
      assert.match(one.errorMessage ?? '', /groups and transactions, not keys of type 2/);
    }
  });

  it('commit for partitions that exist only, and tell the others by id as they were asked', async () => {
    const { client } = await groupWorld();
    const topicId = 'AAAAAAAAAAAAAAAAAAAAEQ';
    const partitions = [{ partitionIndex: 0, committedOffset: 1, committedMetadata: null }];
    const byId = await client.call(apis.offsetCommit, 10, {
      groupId: 'g',
      memberId: '',
      topics: [{ topicId, partitions }],
    });
    assert.equal(byId.topics[0]!.topicId, topicId);
    assert.equal(byId.topics[0]!.partitions[0]!.errorCode, errors.UNKNOWN_TOPIC_ID.code);
    const fetched = await client.call(apis.offsetFetch, 10, {
      groups: [{ groupId: 'g', topics: [{ topicId, partitionIndexes: [0] }] }],
    });
    assert.equal(fetched.groups[0]!.topics[0]!.partitions[0]!.errorCode, errors.UNKNOWN_TOPIC_ID.code);
  });
});
