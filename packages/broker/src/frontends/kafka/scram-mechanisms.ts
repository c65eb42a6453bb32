import type { ScramMechanism } from '../../security/scram.core.ts';

/** KIP-554's numbers; 0 stands for one that the client does not know. */
const BY_NUMBER: ReadonlyMap<number, ScramMechanism> = new Map([
  [1, 'SCRAM-SHA-256'],
  [2, 'SCRAM-SHA-512'],
]);
const NUMBERS = new Map([...BY_NUMBER].map(([number, mechanism]) => [mechanism, number]));

export function scramMechanism(number: number): ScramMechanism | undefined {
  return BY_NUMBER.get(number);
}

export function scramMechanismNumber(mechanism: ScramMechanism): number {
  return NUMBERS.get(mechanism) ?? 0;
}
