import { Slices } from '../../../src/expressions/slices.ts';
import { OFFSETS_TOPIC } from '../../../src/cluster/topic-names.ts';
import type { KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { kafkaHandlers } from '../../../src/frontends/kafka/handlers.ts';
import type { ConsumerGroupSettings } from '../../../src/groups/consumer/types.ts';
import { GroupService } from '../../../src/groups/service.ts';
import { SETTINGS, TIMES } from '../../groups/harness.ts';
import { FakeCoordinator } from './fake-coordinator.ts';
import { backend, type TestClient, type World, world } from './harness.ts';

export interface GroupWorld {
  readonly world: World;
  readonly client: TestClient;
  /** Of the topic `input`, with two partitions. */
  readonly inputId: string;
  readonly groups: GroupService;
  readonly transactions: FakeCoordinator;
}

/** A front end whose groups are real, over logs in memory. */
export async function groupWorld(
  settings: { readonly consumer?: Partial<ConsumerGroupSettings> } = {},
): Promise<GroupWorld> {
  const made = await world({ serve: false });
  const { broker, platform, metrics, frontend } = made;
  const { image } = broker.add('input', { partitions: 2 });
  broker.add(OFFSETS_TOPIC, { partitions: 3, kind: 'internal', configs: { 'cleanup.policy': 'compact' } });
  const transactions = new FakeCoordinator();
  const groups = new GroupService({
    ...platform,
    partitions: broker,
    admin: broker,
    timesOf: () => TIMES,
    slices: new Slices(platform),
    verifier: transactions,
    settings: { ...SETTINGS, consumer: { ...SETTINGS.consumer, ...settings.consumer } },
    topic: { partitions: 3, replicationFactor: 1, segmentBytes: 1 << 20, flush: 'fsync' },
  });
  const services = {
    ...backend(broker, metrics),
    ...platform,
    groups,
  } as unknown as KafkaServices;
  // The handlers that other services are needed for are not asked.
  frontend.serve({ ...backend(broker, metrics), groups }, kafkaHandlers(withStubs(services)));
  const client = await made.connect();
  await made.sim.advance(50);
  return { world: made, client, inputId: image.id, groups, transactions };
}

function withStubs(services: KafkaServices): KafkaServices {
  return {
    ...services,
    config: { settings: {}, topicDefaults: new Map(), entries: new Map() },
    limits: { fetchSessionsMax: 1 },
  } as unknown as KafkaServices;
}
