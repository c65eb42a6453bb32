"""A consumer of librdkafka as a member of a group: see ../member.ts for its arguments, what it prints and how it ends."""
import json
import signal
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException

settings = json.loads(sys.argv[1])

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
    # Stored once it is printed: what the application has not seen is never committed.
    "enable.auto.offset.store": False,
    "auto.commit.interval.ms": 200,
    "fetch.wait.max.ms": 200,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "log_level": 0,
}
if settings.get("instanceId"):
    conf["group.instance.id"] = settings["instanceId"]
consumer = Consumer(conf)
consumer.subscribe([settings["topic"]])
fenced = False
while not stopping and not fenced:
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
    try:
        consumer.store_offsets(message)
    except KafkaException as refused:  # the partition was revoked meanwhile
        print("note", refused, flush=True)
consumer.close()
sys.exit(3 if fenced else 0)
