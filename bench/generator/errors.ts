import { kafkaErrors } from '@polylog/kafka-protocol';

const namesByCode = new Map(Object.entries(kafkaErrors).map(([name, { code }]) => [code, name]));

/** Kafka's name of an error code, or the number. */
export function errorNameOf(code: number): string {
  return namesByCode.get(code) ?? `error ${code}`;
}
