/** What the process ends with: the contract with scripts, listed in docs/cli.md and in `polylog --help`. */
export const EXIT = {
  ok: 0,
  /** The broker refused, or the work failed on the way. */
  failed: 1,
  /** The command line cannot be understood, or needs a confirmation that nobody can give. */
  usage: 2,
  /** A topic, group, partition, broker, setting or file that was named does not exist. */
  notFound: 3,
  /** No broker answers. */
  unreachable: 4,
  /** `dump-log` found damage, `cluster health` a partition without a leader or with replicas behind. */
  unhealthy: 5,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Shells add the number of the signal. */
export const EXIT_SIGNAL_BASE = 128;
