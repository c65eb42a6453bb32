"""Produces numbered values with an idempotent librdkafka until stdin closes, and says which were acknowledged where.

Arguments: ADDRESS TOPIC PARTITIONS RECORDS_PER_SECOND VALUE_BYTES
Prints a line per record: "ack PARTITION OFFSET NUMBER" or "fail NUMBER ERROR"; at the end "sent COUNT".
"""
import sys
import threading
import time

from confluent_kafka import Producer

address, topic, partitions, per_second, value_bytes = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
TURN_SECONDS = 0.02

stopping = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()

producer = Producer({
    "bootstrap.servers": address,
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 5,
    "batch.num.messages": 50,
    "queue.buffering.max.messages": 20000,
    "message.timeout.ms": 600000,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "socket.timeout.ms": 10000,
    "log_level": 0,
})


def delivered(error, message):
    number = message.value().split(b":", 1)[0].decode()
    if error is None:
        print("ack", message.partition(), message.offset(), number)
    else:
        print("fail", number, error)


sent = 0
while not stopping.is_set():
    for _ in range(max(1, int(per_second * TURN_SECONDS))):
        value = (b"%d:" % sent).ljust(value_bytes, b"x")
        try:
            producer.produce(topic, value, partition=sent % partitions, on_delivery=delivered)
            sent += 1
        except BufferError:
            break
    producer.poll(TURN_SECONDS)
    sys.stdout.flush()
    time.sleep(TURN_SECONDS / 2)
producer.flush(60)
print("sent", sent, flush=True)
