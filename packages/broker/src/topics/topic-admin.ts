import type { Controller } from '../cluster/controller.ts';
import { INTERNAL_PREFIX, STATE_TOPICS, validateTopicName } from '../cluster/topic-names.ts';
import { alterOverrides, parseTopicSettings, type TopicDefaults } from '../config/topic-config.ts';
import { BrokerError } from '../errors.ts';
import type { PartitionRegistry } from './hosted-partitions.ts';
import type {
  ChargePartitions,
  ConfigOperation,
  CreatedTopic,
  CreateTopicRequest,
  TopicAdmin,
} from './types.ts';

/** Creations on first use that may be under way at a time; further ones are told to try again. */
const AUTO_CREATIONS_MAX = 1000;

export interface TopicAdminOptions {
  readonly controller: Controller;
  readonly partitions: PartitionRegistry;
  readonly config: { readonly topicDefaults: TopicDefaults };
  /** `delete.topic.enable`. */
  readonly deletionAllowed: boolean;
}

/** Checks what is asked of topics, lets the controller do it, and waits until this broker has followed. */
export class BrokerTopicAdmin implements TopicAdmin {
  readonly #options: TopicAdminOptions;
  readonly #autoCreations = new Map<string, Promise<void>>();

  constructor(options: TopicAdminOptions) {
    this.#options = options;
  }

  async createTopic(request: CreateTopicRequest): Promise<CreatedTopic> {
    const { controller, partitions, config } = this.#options;
    validateTopicName(request.kafkaName);
    // Whoever makes it: what is kept there must not be deleted by age.
    const isState = STATE_TOPICS.has(request.kafkaName);
    const configs = isState ? new Map([...request.configs, ['cleanup.policy', 'compact']]) : request.configs;
    parseTopicSettings(configs, config.topicDefaults);
    const created = await controller.createTopic({ ...request, configs });
    if (!request.validateOnly) await partitions.settled(request.kafkaName);
    return created;
  }

  async deleteTopic(kafkaName: string): Promise<void> {
    if (!this.#options.deletionAllowed) {
      throw new BrokerError('POLICY_VIOLATION', 'Topics are not deleted here: delete.topic.enable is false');
    }
    await this.#options.controller.deleteTopic(kafkaName);
    await this.#options.partitions.settled(kafkaName);
  }

  async createPartitions(request: {
    kafkaName: string;
    count: number;
    assignments?: readonly (readonly number[])[];
    validateOnly: boolean;
    charge?: ChargePartitions | undefined;
  }): Promise<void> {
    if (STATE_TOPICS.has(request.kafkaName)) {
      throw new BrokerError(
        'INVALID_REQUEST',
        `The partitions of ${request.kafkaName} cannot be changed: what is in them belongs there by its name`,
      );
    }
    await this.#options.controller.createPartitions(request);
  }

  async alterTopicConfig(request: {
    kafkaName: string;
    operations: readonly ConfigOperation[];
    replace?: boolean;
    validateOnly: boolean;
  }): Promise<void> {
    const { controller, config } = this.#options;
    const { kafkaName, operations, validateOnly } = request;
    await controller.alterTopicConfig({
      kafkaName,
      validateOnly,
      alter: (overrides) =>
        alterOverrides(request.replace === true ? new Map() : overrides, operations, config.topicDefaults),
    });
  }

  autoCreateTopic(kafkaName: string, charge?: ChargePartitions): Promise<void> {
    if (this.#options.partitions.image.topicByName(kafkaName) !== undefined) return Promise.resolve();
    const underWay = this.#autoCreations.get(kafkaName);
    if (underWay !== undefined) return underWay;
    if (this.#autoCreations.size >= AUTO_CREATIONS_MAX) {
      return Promise.reject(
        new BrokerError('LEADER_NOT_AVAILABLE', 'Too many topics are being created; try again'),
      );
    }
    const creation = this.#autoCreate(kafkaName, charge).finally(() => this.#autoCreations.delete(kafkaName));
    this.#autoCreations.set(kafkaName, creation);
    return creation;
  }

  async #autoCreate(kafkaName: string, charge: ChargePartitions | undefined): Promise<void> {
    validateTopicName(kafkaName);
    if (kafkaName.startsWith(INTERNAL_PREFIX)) {
      throw new BrokerError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `Internal topics, whose names begin with ${INTERNAL_PREFIX}, are not created on first use`,
      );
    }
    try {
      await this.createTopic({
        kafkaName,
        partitions: -1,
        replicationFactor: -1,
        configs: new Map(),
        validateOnly: false,
        charge,
      });
    } catch (error) {
      // Someone else was quicker: that is what was wanted.
      if (error instanceof BrokerError && error.code === 'TOPIC_ALREADY_EXISTS') return;
      throw error;
    }
  }
}
