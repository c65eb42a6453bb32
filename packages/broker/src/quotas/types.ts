/** What a quota may be set for. A default is the entity whose name is null. */
export type EntityType = 'user' | 'client-id' | 'ip';

/** The parts of an entity: a user, a client id, both together, or an address. */
export type QuotaEntity = ReadonlyMap<EntityType, string | null>;

/** What is limited, by its name in Kafka. */
export type QuotaKey =
  | 'producer_byte_rate'
  | 'consumer_byte_rate'
  | 'request_percentage'
  | 'controller_mutation_rate'
  | 'connection_creation_rate';

/** The limits of one entity, as they are kept under its key. */
export type QuotaValues = Readonly<Partial<Record<QuotaKey, number>>>;

/** What throttled somebody, in the metrics. */
export type ThrottleKind = 'produce' | 'fetch' | 'request' | 'mutation' | 'connection';
