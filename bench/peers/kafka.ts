import { prepareKafka } from '../../test/peers/kafka.ts';
import { requirePeer } from '../../test/peers/peers.ts';
import type { Peer } from './peer.ts';

/**
 * One node in KRaft mode from its own jars, with the flags of kafka-server-start.sh (heap of 1 GiB, G1). Besides what one node
 * needs, it removes deleted topics at once instead of after a minute, so that a round does not meet the data of the last one.
 */
export const kafka: Peer = {
  name: 'kafka',
  async install() {
    const { skip, versions } = await requirePeer('java', 'kafka-jars');
    if (skip !== false) throw new Error(skip);
    return `Apache Kafka ${versions['kafka-jars']} on Java ${versions['java']}`;
  },
  async prepare(folder, { settings }) {
    const all = { 'log.segment.delete.delay.ms': '0', ...settings };
    const { port, args } = await prepareKafka(folder, { settings: all, forSpeed: true });
    return { command: 'java', args, address: { host: '127.0.0.1', port } };
  },
  topicConfig: (flush) => (flush === 'fsync' ? { 'flush.messages': '1' } : {}),
};
