"""A consumer of librdkafka as a member of a group: see ../member.ts for its arguments, what it prints and how it ends."""
import json
import signal
import sys
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

settings = json.loads(sys.argv[1])
COMMIT_SECONDS = 0.2

stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


conf = {
    "bootstrap.servers": settings["address"],
    "client.id": settings["clientId"],
    "group.id": settings["groupId"],
    "partition.assignment.strategy": settings["assignor"],
    "session.timeout.ms": settings["sessionTimeoutMs"],
    "heartbeat.interval.ms": settings["heartbeatMs"],
    "max.poll.interval.ms": settings["rebalanceTimeoutMs"],
    "auto.offset.reset": "earliest",
    # By hand, one commit after the other. When the broker was away, librdkafka sends several of its own commits again, not in
    # their order, and the committed offset goes back.
    "enable.auto.commit": False,
    "fetch.wait.max.ms": 200,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,
}
if settings.get("instanceId"):
    conf["group.instance.id"] = settings["instanceId"]
consumer = Consumer(conf)
# By partition: the offset after the last record that was printed, and is not committed yet.
printed = {}


def commit(partitions):
    offsets = [TopicPartition(settings["topic"], at, printed.pop(at)) for at in partitions if at in printed]
    if not offsets:
        return
    try:
        for at in consumer.commit(offsets=offsets, asynchronous=False):
            if at.error is None:
                print("committed", at.partition, at.offset, flush=True)
    except KafkaException as refused:  # the records come again, here or elsewhere
        print("note commit:", refused, flush=True)


def revoked(_, partitions):
    commit([at.partition for at in partitions])


def lost(_, partitions):
    for at in partitions:
        printed.pop(at.partition, None)


consumer.subscribe([settings["topic"]], on_revoke=revoked, on_lost=lost)
fenced = False
committed_at = time.monotonic()
while not stopping and not fenced:
    if time.monotonic() - committed_at >= COMMIT_SECONDS:
        commit(list(printed))
        committed_at = time.monotonic()
    # One by one: a batch of librdkafka 2.0 loses records when partitions change hands meanwhile.
    message = consumer.poll(0.1)
    if message is None:
        continue
    error = message.error()
    if error is not None:
        print("note", error.name(), flush=True)
        fenced = error.code() == KafkaError._FATAL
        continue
    print("record", message.partition(), message.offset(), flush=True)
    printed[message.partition()] = message.offset() + 1
if not fenced:
    commit(list(printed))
consumer.close()
sys.exit(3 if fenced else 0)
