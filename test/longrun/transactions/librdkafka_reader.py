"""Reads whole topics with read_committed from their start, on and on, and prints "TOPIC PARTITION OFFSET VALUE" per record.

Arguments: ADDRESS PARTITIONS TOPIC...
When stdin closes it goes on to the ends that the topics have then, and stops.
"""
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

address, partitions, topics = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
POLL_SECONDS = 0.05
CALL_SECONDS = 10
MESSAGES_MAX = 500

stopping = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
consumer = Consumer({
    "bootstrap.servers": address,
    "group.id": "reader",
    "isolation.level": "read_committed",
    "enable.auto.commit": False,
    "enable.partition.eof": True,
    "auto.offset.reset": "error",
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "fetch.wait.max.ms": 100,
    "fetch.error.backoff.ms": 20,
    "log_level": 0,
})
wanted = [TopicPartition(topic, partition, 0) for topic in topics for partition in range(partitions)]
consumer.assign(wanted)


def ends():
    """The last stable offsets; asked for until the broker answers."""
    found = {}
    for one in wanted:
        while (one.topic, one.partition) not in found:
            try:
                found[one.topic, one.partition] = consumer.get_watermark_offsets(one, CALL_SECONDS)[1]
            except KafkaException:
                time.sleep(0.05)
    return found


reached = {}


def read():
    for message in consumer.consume(MESSAGES_MAX, POLL_SECONDS):
        if message.error() is None:
            print(message.topic(), message.partition(), message.offset(), message.value().decode())
        elif message.error().code() == KafkaError._PARTITION_EOF:
            # The end may lie behind the last record: markers have offsets, too.
            reached[message.topic(), message.partition()] = message.offset()
        # Anything else is a broker that is away, which passes.
    sys.stdout.flush()


while not stopping.is_set():
    read()
limits = ends()
while any(reached.get(partition, -1) < limit for partition, limit in limits.items()):
    read()
consumer.close()
