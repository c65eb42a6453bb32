import type { Clock, Random, Timers } from '../../platform/clock.ts';
import type { Compute } from '../../platform/compute.ts';
import type { Logger } from '../../platform/log.ts';
import type { Loop } from '../../platform/loop.ts';
import type { Network } from '../../platform/network.ts';
import type { KafkaServices } from './handler.ts';
import type { KafkaLimits } from './limits.ts';

export interface KafkaFrontendOptions {
  /** Key of BrokerImage.endpoints by which Metadata finds the addresses to advertise. */
  readonly listener: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly platform: {
    readonly network: Network;
    readonly clock: Clock;
    readonly timers: Timers;
    readonly random: Random;
    readonly loop: Loop;
    readonly compute: Compute;
    readonly logger: Logger;
  };
  /** What is left out has its default; see limits.ts. */
  readonly limits?: Partial<KafkaLimits>;
}

/** What the front end needs of the broker once it is ready to serve. */
export type KafkaBackend = Pick<
  KafkaServices,
  'brokerId' | 'partitions' | 'admin' | 'producerIds' | 'metrics' | 'autoCreateTopics'
>;

/**
 * The Kafka listener. It is bound before the broker has recovered its data, so that a taken port is known at once and the advertised port
 * can be registered; connections that come before {@link KafkaFrontend.serve} wait.
 */
export interface KafkaFrontend {
  readonly host: string;
  readonly port: number;
  readonly connectionCount: number;
  serve(backend: KafkaBackend): void;
  /** Stops accepting, ends long polls, lets the responses that are under way go out, and closes every connection. */
  close(): Promise<void>;
}

/** Binds the listener. Rejects with NetworkError. */
export type StartKafkaFrontend = (options: KafkaFrontendOptions) => Promise<KafkaFrontend>;
