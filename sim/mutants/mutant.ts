/** A bug, as a change of one place in the source. White space in `search` matches any white space; it must be found exactly once. */
export interface Mutant {
  readonly name: string;
  /** What breaks, and which rule it breaks. */
  readonly why: string;
  /** Below packages/broker/src. */
  readonly file: string;
  readonly search: string;
  readonly replace: string;
  readonly scenario: 'single' | 'cluster' | 'broker' | 'groups' | 'consumer-groups' | 'transactions';
}
