import type { TopicConfig } from '../generator/admin.ts';
import type { Address } from '../generator/connection.ts';

export type PeerName = 'polylog' | 'kafka';

/** What an acknowledgement promises: the disk, the operating system, or what the broker does when nobody says. */
export type Flush = 'fsync' | 'os' | 'default';

/** A program that runs with these arguments in the foreground, and will then answer at this address. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly address: Address;
}

export interface LaunchOptions {
  /** Of the broker, in its own words; added to what every measurement has. */
  readonly settings: Readonly<Record<string, string>>;
  /** Where to leave a CPU profile, for those who can. */
  readonly profileFolder: string | undefined;
}

/**
 * A broker that can be measured: how to get it, and how to run it. What it costs, when it answers and how it ends is the same
 * for all (broker-process.ts). One file each; `PEERS` lists them.
 */
export interface Peer {
  readonly name: PeerName;
  /**
   * What it is and in which version, after installing what is missing.
   * @throws Error that says what is missing
   */
  install(): Promise<string>;
  /** Makes an empty folder ready. The same launch may be run again on what it left there. */
  prepare(folder: string, options: LaunchOptions): Promise<Launch>;
  /** Of a topic whose acknowledgements promise that. */
  topicConfig(flush: Flush): TopicConfig;
}
