import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apis, kafkaErrors, type InitOf } from '@polylog/kafka-protocol';
import { subscription } from '../../groups/harness.ts';
import { groupWorld } from './group-world.ts';

const errors = kafkaErrors;
const JOIN: InitOf<typeof apis.consumerGroupHeartbeat.request> = {
  groupId: 'g',
  memberId: 'm1',
  memberEpoch: 0,
  rebalanceTimeoutMs: 30_000,
  subscribedTopicNames: ['input'],
  topicPartitions: [],
};

describe('the APIs of KIP-848', () => {
  for (const version of [0, 1]) {
    it(`lead a member through its life, in version ${version}`, async () => {
      const { client, inputId } = await groupWorld();
      const beat = (request: Partial<typeof JOIN>) =>
        client.call(apis.consumerGroupHeartbeat, version, { ...JOIN, ...request });
      const joined = await beat(version === 0 ? { memberId: '' } : {});
      assert.deepEqual([joined.errorCode, joined.memberEpoch, joined.heartbeatIntervalMs], [0, 1, 5000]);
      const topicPartitions = [{ topicId: inputId, partitions: [0, 1] }];
      assert.deepEqual(joined.assignment, { topicPartitions });
      const memberId = joined.memberId!;
      const quiet = {
        memberId,
        memberEpoch: 1,
        topicPartitions: null,
        subscribedTopicNames: null,
        rebalanceTimeoutMs: -1,
      };
      const alive = await beat(quiet);
      assert.deepEqual([alive.errorCode, alive.assignment], [0, null]);
      const { groups } = await client.call(apis.consumerGroupDescribe, version, {
        groupIds: ['g', 'g', 'no'],
      });
      assert.equal(groups.length, 2);
      const [group, missing] = groups;
      assert.deepEqual(
        [group!.groupState, group!.groupEpoch, group!.assignmentEpoch, group!.assignorName],
        ['Stable', 1, 1, 'uniform'],
      );
      const [member] = group!.members;
      assert.deepEqual(member!.assignment, {
        topicPartitions: [{ topicId: inputId, topicName: 'input', partitions: [0, 1] }],
      });
      assert.deepEqual(member!.targetAssignment, member!.assignment);
      assert.deepEqual([member!.subscribedTopicNames, member!.clientHost], [['input'], '/broker']);
      assert.equal(member!.memberType, version === 0 ? -1 : 1);
      assert.equal(missing!.errorCode, errors.GROUP_ID_NOT_FOUND.code);
      assert.equal((await beat({ ...quiet, memberEpoch: 7 })).errorCode, errors.FENCED_MEMBER_EPOCH.code);
      const left = await beat({ ...quiet, memberEpoch: -1 });
      assert.deepEqual([left.errorCode, left.memberEpoch, left.memberId], [0, -1, memberId]);
      assert.equal((await beat(quiet)).errorCode, errors.UNKNOWN_MEMBER_ID.code);
    });
  }

  it('say what is wrong with a request', async () => {
    const { client } = await groupWorld();
    const refused = await client.call(apis.consumerGroupHeartbeat, 1, { ...JOIN, subscribedTopicRegex: '(' });
    assert.equal(refused.errorCode, errors.INVALID_REGULAR_EXPRESSION.code);
    assert.match(refused.errorMessage!, /RE2/);
    const invalid = await client.call(apis.consumerGroupHeartbeat, 1, { ...JOIN, memberId: '' });
    assert.equal(invalid.errorCode, errors.INVALID_REQUEST.code);
    assert.match(invalid.errorMessage!, /MemberId/);
  });

  it('assign what a regular expression describes', async () => {
    const { client, inputId } = await groupWorld();
    const byRegex = { ...JOIN, subscribedTopicNames: null, subscribedTopicRegex: 'in.*' };
    const joined = await client.call(apis.consumerGroupHeartbeat, 1, byRegex);
    assert.deepEqual(
      joined.assignment!.topicPartitions.map(({ topicId }) => topicId),
      [inputId],
    );
  });

  it('tell new groups from classic ones: each is described by its own API, and listed by its type and state', async () => {
    const { client } = await groupWorld();
    await client.call(apis.consumerGroupHeartbeat, 1, { ...JOIN, groupId: 'newer' });
    await client.call(apis.joinGroup, 2, {
      groupId: 'classic',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 10_000,
      memberId: '',
      protocolType: 'consumer',
      protocols: [{ name: 'range', metadata: subscription('input') }],
    });
    const described = await client.call(apis.describeGroups, 6, { groups: ['newer'] });
    assert.deepEqual(
      [described.groups[0]!.errorCode, described.groups[0]!.groupState],
      [errors.GROUP_ID_NOT_FOUND.code, 'Dead'],
    );
    const newer = await client.call(apis.consumerGroupDescribe, 1, { groupIds: ['classic'] });
    assert.equal(newer.groups[0]!.errorCode, errors.GROUP_ID_NOT_FOUND.code);
    const list = async (filters: { typesFilter?: string[]; statesFilter?: string[] }) => {
      const { groups } = await client.call(apis.listGroups, 5, {
        statesFilter: [],
        typesFilter: [],
        ...filters,
      });
      return groups
        .map(({ groupId, groupType, groupState }) => [groupId, groupType, groupState].join(' '))
        .sort();
    };
    assert.deepEqual(await list({ typesFilter: ['Consumer'] }), ['newer consumer Stable']);
    assert.deepEqual(await list({ typesFilter: ['classic'] }), ['classic classic CompletingRebalance']);
    assert.deepEqual(await list({ statesFilter: ['stable'] }), ['newer consumer Stable']);
    assert.equal((await list({})).length, 2);
  });

  it('let members commit and fetch with their epochs, by name and by id', async () => {
    const { client, inputId } = await groupWorld();
    await client.call(apis.consumerGroupHeartbeat, 1, JOIN);
    const commit = async (version: number, memberEpoch: number) => {
      const { topics } = await client.call(apis.offsetCommit, version, {
        groupId: 'g',
        memberId: 'm1',
        generationIdOrMemberEpoch: memberEpoch,
        topics: [
          {
            ...(version >= 10 ? { topicId: inputId } : { name: 'input' }),
            partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: '' }],
          },
        ],
      });
      return topics[0]!.partitions[0]!.errorCode;
    };
    assert.equal(await commit(8, 1), errors.UNSUPPORTED_VERSION.code);
    assert.equal(await commit(9, 1), 0);
    assert.equal(await commit(10, 1), 0);
    assert.equal(await commit(9, 2), errors.STALE_MEMBER_EPOCH.code);
    const fetch = async (version: number, memberId: string | null, memberEpoch: number) => {
      const topic = version >= 10 ? { topicId: inputId } : { name: 'input' };
      const { groups } = await client.call(apis.offsetFetch, version, {
        groups: [{ groupId: 'g', memberId, memberEpoch, topics: [{ ...topic, partitionIndexes: [0] }] }],
      });
      return groups[0]!.errorCode || groups[0]!.topics[0]!.partitions[0]!.committedOffset;
    };
    assert.equal(await fetch(9, 'm1', 1), 7);
    assert.equal(await fetch(10, 'm1', 1), 7);
    assert.equal(await fetch(9, 'm1', 5), errors.STALE_MEMBER_EPOCH.code);
    assert.equal(await fetch(9, 'nobody', 1), errors.UNKNOWN_MEMBER_ID.code);
    assert.equal(await fetch(9, null, -1), 7, 'an administrator');
  });

  it('answer 35 where the protocol is not enabled', async () => {
    const { client } = await groupWorld({ consumer: { enabled: false } });
    const refused = await client.call(apis.consumerGroupHeartbeat, 1, JOIN);
    assert.equal(refused.errorCode, errors.UNSUPPORTED_VERSION.code);
  });
});
