"""Produces the lines of stdin with an idempotent librdkafka, each once, whatever becomes of the broker meanwhile. An empty line only asks for news.

Arguments: ADDRESS TOPIC
Prints "ack COUNT" now and then with the number of lines that were acknowledged so far, and "fail ERROR" for one that was given up; ends when
stdin has ended and all lines are acknowledged.
"""
import sys

from confluent_kafka import Producer

address, topic = sys.argv[1], sys.argv[2]
acknowledged = 0

producer = Producer({
    "bootstrap.servers": address,
    "enable.idempotence": True,
    "linger.ms": 5,
    "message.timeout.ms": 0,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "socket.timeout.ms": 10000,
    "log_level": 0,
})


def delivered(error, _message):
    global acknowledged
    if error is None:
        acknowledged += 1
    else:
        print("fail", error, flush=True)


for line in sys.stdin:
    text = line.rstrip("\n")
    while text:
        try:
            producer.produce(topic, text.encode(), on_delivery=delivered)
            break
        except BufferError:
            producer.poll(0.1)
    producer.poll(0)
    print("ack", acknowledged, flush=True)
while producer.flush(1) > 0:
    pass
print("ack", acknowledged, flush=True)
