import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runOk } from './peers/process.ts';
import { startTarget, type Target } from './target.ts';

const { skip } = await requirePeer('python3-kafka');

/** Every script gets the broker's address as `address` and answers by printing one JSON document. */
const PROLOGUE = `
import json, sys
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
address = sys.argv[1]

def read(topic, partition=0, offset=None, **options):
    consumer = KafkaConsumer(bootstrap_servers=address, group_id=None, consumer_timeout_ms=10000, **options)
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    consumer.seek_to_beginning(at) if offset is None else consumer.seek(at, offset)
    end = consumer.end_offsets([at])[at]
    records = []
    while consumer.position(at) < end:
        record = next(consumer)
        records.append([record.offset, record.key and record.key.decode(), record.value and record.value.decode(),
                        [[name, value.decode()] for name, value in record.headers], record.timestamp])
    consumer.close()
    return records
`;

describe('python3-kafka, as Debian ships it', { skip }, () => {
  let target: Target;
  before(async () => {
    target = await startTarget();
  });
  after(() => target.stop());

  async function python(script: string): Promise<unknown> {
    const { stdout } = await runOk(DEBIAN_PYTHON, ['-c', PROLOGUE + script, target.kafkaAddress]);
    return JSON.parse(stdout) as unknown;
  }

  test('records come back with offsets, keys, headers and timestamps', async () => {
    const records = await python(`
producer = KafkaProducer(bootstrap_servers=address, acks='all')
for i in range(100):
    producer.send('python-records', key=b'k%d' % i, value=b'v%d' % i, headers=[('i', b'%d' % i)],
                  timestamp_ms=1700000000000 + i, partition=0).get(30)
producer.close()
print(json.dumps(read('python-records')))
`);
    const expected = Array.from({ length: 100 }, (_, i) => [
      i,
      `k${i}`,
      `v${i}`,
      [['i', String(i)]],
      1_700_000_000_000 + i,
    ]);
    assert.deepEqual(records, expected);
  });

  for (const codec of ['None', "'gzip'", "'snappy'", "'lz4'", "'zstd'"]) {
    test(`compression ${codec} comes back as sent, with CRCs checked`, async () => {
      const topic = `python-codec-${codec.replaceAll("'", '').toLowerCase()}`;
      const values = await python(`
producer = KafkaProducer(bootstrap_servers=address, acks='all', compression_type=${codec}, linger_ms=20)
sends = [producer.send('${topic}', value=(b'%d ' % i) + b'abc' * (i % 90), partition=0) for i in range(2000)]
producer.flush()
assert [send.get(30).offset for send in sends] == list(range(2000))
producer.close()
print(json.dumps([record[2] for record in read('${topic}', check_crcs=True)]))
`);
      assert.deepEqual(
        values,
        Array.from({ length: 2000 }, (_, i) => `${i} ${'abc'.repeat(i % 90)}`),
      );
    });
  }

  for (const acks of ['0', '1', "'all'"]) {
    test(`acks=${acks} stores the record`, async () => {
      const topic = `python-acks-${acks.replaceAll("'", '')}`;
      const values = await python(`
producer = KafkaProducer(bootstrap_servers=address, acks=${acks})
for value in (b'first', b'second'):
    producer.send('${topic}', value=value, partition=0).get(30)
producer.close()
print(json.dumps([record[2] for record in read('${topic}')]))
`);
      assert.deepEqual(values, ['first', 'second']);
    });
  }

  test('a consumer seeks to an offset and finds offsets by time', async () => {
    const answer = await python(`
producer = KafkaProducer(bootstrap_servers=address, acks='all')
for ms in (100, 200, 300):
    producer.send('python-seek', value=b'%d' % ms, timestamp_ms=ms, partition=0).get(30)
producer.close()
consumer = KafkaConsumer(bootstrap_servers=address, group_id=None)
at = TopicPartition('python-seek', 0)
found = consumer.offsets_for_times({at: 150})[at]
none = consumer.offsets_for_times({at: 301})[at]
begin, end = consumer.beginning_offsets([at])[at], consumer.end_offsets([at])[at]
consumer.close()
print(json.dumps([found.offset, found.timestamp, none, begin, end, [r[2] for r in read('python-seek', offset=2)]]))
`);
    assert.deepEqual(answer, [1, 200, null, 0, 3, ['300']]);
  });

  test('a large message passes', async () => {
    const length = await python(`
producer = KafkaProducer(bootstrap_servers=address, acks='all', max_request_size=2000000)
producer.send('python-large', value=b'x' * 900000, partition=0).get(30)
producer.close()
print(json.dumps(len(read('python-large')[0][2])))
`);
    assert.equal(length, 900_000);
  });

  test('the admin client creates, extends, configures and deletes topics', async () => {
    const answer = await python(`
admin = KafkaAdminClient(bootstrap_servers=address)
admin.create_topics([NewTopic('python-admin', 2, 1, topic_configs={'retention.ms': '1234567'})])
admin.create_partitions({'python-admin': NewPartitions(4)})
partitions = len(admin.describe_topics(['python-admin'])[0]['partitions'])
resource = ConfigResource(ConfigResourceType.TOPIC, 'python-admin')
answer = admin.describe_configs([resource])[0].resources[0]
retention = [entry[1] for entry in answer[4] if entry[0] == 'retention.ms']
listed = 'python-admin' in admin.list_topics()
admin.delete_topics(['python-admin'])
gone = 'python-admin' not in admin.list_topics()
admin.close()
print(json.dumps([partitions, retention, listed, gone]))
`);
    assert.deepEqual(answer, [4, ['1234567'], true, true]);
  });
});
