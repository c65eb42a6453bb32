import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ACL_ANY,
  aclOperations,
  aclPatternTypes,
  aclPermissions,
  aclResourceTypes,
  apis,
} from '@polylog/kafka-protocol';
import { KafkaClient } from '../longrun/fuzz/client.ts';
import { startTarget, type Target } from '../target.ts';
import type { Permission, Resources } from './case.ts';

/** May do everything, */
const ADMIN = '127.0.0.1';
/** and what the rules of a cell say. */
const CLIENT = '127.0.0.2';
const PRINCIPAL = 'User:ANONYMOUS';
const ACLS_DEADLINE_MS = 10_000;
/** Apache Kafka shows its clients a change that its controller does not know yet, or the other way round. */
const KAFKA_CATCHES_UP_MS = 30;

type Shared = Omit<Resources, 'exist'>;

/** A broker with access rules in force, and two clients that are told apart by their addresses. */
export class AclFixture {
  readonly client: KafkaClient;
  readonly admin: KafkaClient;
  readonly #target: Target;
  #shared: Shared | undefined;
  #made = 0;

  private constructor(target: Target, admin: KafkaClient, client: KafkaClient) {
    this.#target = target;
    this.admin = admin;
    this.client = client;
  }

  static async open(): Promise<AclFixture> {
    const target = await startTarget({
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      // Until there are rules, so that the first ones can be made; those name every resource.
      'allow.everyone.if.no.acl.found': 'true',
      'auto.create.topics.enable': 'true',
    });
    try {
      const port = Number(target.kafkaAddress.split(':')[1]);
      const admin = await KafkaClient.open(port, ADMIN);
      const fixture = new AclFixture(target, admin, await KafkaClient.open(port, CLIENT));
      await fixture.#prepare();
      return fixture;
    } catch (error) {
      await target.stop();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    await this.#add(
      (['TOPIC', 'GROUP', 'TRANSACTIONAL_ID', 'CLUSTER'] as const).map((type) => ({
        operation: 'ALL',
        type,
        name: type === 'CLUSTER' ? 'kafka-cluster' : '*',
      })),
      'ALLOW',
      ADMIN,
    );
    this.#shared = await this.#make(await this.#make());
  }

  get isApacheKafka(): boolean {
    return this.#target.isApacheKafka;
  }

  async close(): Promise<void> {
    this.admin.close();
    this.client.close();
    await this.#target.stop();
  }

  /** Another connection of the client. */
  connect(): Promise<KafkaClient> {
    return KafkaClient.open(this.#port, CLIENT);
  }

  get #port(): number {
    return Number(this.#target.kafkaAddress.split(':')[1]);
  }

  /** Keys of the APIs that are served. */
  async served(): Promise<ReadonlySet<number>> {
    const request = { clientSoftwareName: 'test', clientSoftwareVersion: '1' };
    const { apiKeys } = await this.admin.request(apis.apiVersions, 3, request);
    return new Set(apiKeys.map(({ apiKey }) => apiKey));
  }

  async resources(exist: boolean, fresh: boolean): Promise<Resources> {
    const shared = this.#shared!;
    if (exist) return { exist, ...(fresh ? await this.#make(shared) : shared) };
    const name = `missing-${++this.#made}`;
    return {
      ...shared,
      exist,
      topic: name,
      topicId: randomBytes(16).toString('base64url'),
      group: name,
      transactionalId: name,
    };
  }

  allow(permissions: readonly Permission[]): Promise<void> {
    return this.#add(permissions, 'ALLOW', CLIENT);
  }

  deny(permissions: readonly Permission[]): Promise<void> {
    return this.#add(permissions, 'DENY', CLIENT);
  }

  /** Takes all rules of the client away. */
  async clear(): Promise<void> {
    await this.admin.request(apis.deleteAcls, 3, { filters: [filterFor(CLIENT)] });
    await this.#until(CLIENT, 0);
  }

  /** A topic, a group and a transactional id that exist; beside `other`, or for others to be beside. */
  async #make(other?: Shared): Promise<Shared> {
    const name = `existing-${++this.#made}`;
    const created = await this.admin.request(apis.createTopics, 7, {
      topics: [{ name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
      timeoutMs: 10_000,
    });
    const { topicId } = created.topics[0]!;
    const otherTopic = other?.otherTopic ?? name;
    await this.#commit(name, otherTopic);
    const initialised = await this.#initTransaction(name);
    return {
      topic: name,
      topicId,
      otherTopic,
      otherTopicId: other?.otherTopicId ?? topicId,
      group: name,
      otherGroup: other?.otherGroup ?? name,
      transactionalId: name,
      ...initialised,
    };
  }

  /** The coordinator is made with the first group, and not there at once. */
  async #commit(groupId: string, topic: string): Promise<void> {
    await retry(async () => {
      await this.admin.request(apis.findCoordinator, 3, { key: groupId, keyType: 0 });
      const { topics } = await this.admin.request(apis.offsetCommit, 8, {
        groupId,
        memberId: '',
        generationIdOrMemberEpoch: -1,
        topics: [
          {
            name: topic,
            partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: '' }],
          },
        ],
      });
      return topics[0]!.partitions[0]!.errorCode;
    });
  }

  async #initTransaction(
    transactionalId: string,
  ): Promise<{ readonly producerId: number; readonly producerEpoch: number }> {
    let made = { producerId: 0, producerEpoch: 0 };
    await retry(async () => {
      await this.admin.request(apis.findCoordinator, 3, { key: transactionalId, keyType: 1 });
      const answer = await this.admin.request(apis.initProducerId, 4, {
        transactionalId,
        transactionTimeoutMs: 60_000,
      });
      made = answer;
      return answer.errorCode;
    });
    return { producerId: made.producerId, producerEpoch: made.producerEpoch };
  }

  async #add(permissions: readonly Permission[], permission: 'ALLOW' | 'DENY', host: string): Promise<void> {
    if (permissions.length === 0) return;
    const before = await this.#count(host);
    const { results } = await this.admin.request(apis.createAcls, 3, {
      creations: permissions.map(({ operation, type, name }) => ({
        resourceType: aclResourceTypes[type],
        resourceName: name,
        resourcePatternType: aclPatternTypes.LITERAL,
        principal: PRINCIPAL,
        host,
        operation: aclOperations[operation],
        permissionType: aclPermissions[permission],
      })),
    });
    const failed = results.find(({ errorCode }) => errorCode !== 0);
    if (failed !== undefined) throw new Error(`CreateAcls: ${failed.errorCode} ${failed.errorMessage}`);
    await this.#until(host, before + permissions.length);
  }

  async #until(host: string, count: number): Promise<void> {
    const deadlineMs = performance.now() + ACLS_DEADLINE_MS;
    while ((await this.#count(host)) !== count) {
      if (!this.isApacheKafka) throw new Error('a change of the rules is not shown when it is answered');
      if (performance.now() > deadlineMs) throw new Error('a change of the rules is never shown');
      await sleep(5);
    }
    if (this.isApacheKafka) await sleep(KAFKA_CATCHES_UP_MS);
  }

  async #count(host: string): Promise<number> {
    const { resources } = await this.admin.request(apis.describeAcls, 3, filterFor(host));
    return resources.reduce((count, { acls }) => count + acls.length, 0);
  }
}

function filterFor(host: string) {
  return {
    resourceTypeFilter: ACL_ANY,
    resourceNameFilter: null,
    patternTypeFilter: ACL_ANY,
    principalFilter: PRINCIPAL,
    hostFilter: host,
    operation: ACL_ANY,
    permissionType: ACL_ANY,
  };
}

async function retry(once: () => Promise<number>): Promise<void> {
  const deadlineMs = performance.now() + ACLS_DEADLINE_MS;
  for (;;) {
    const errorCode = await once();
    if (errorCode === 0) return;
    if (performance.now() > deadlineMs) throw new Error(`still error ${errorCode}`);
    await sleep(50);
  }
}
