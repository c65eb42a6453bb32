"""Runs numbered transactions with librdkafka until stdin closes, and says what became of each.

Arguments: ADDRESS PRODUCER FIRST_NUMBER SEED PARTITIONS GROUP_TOPIC TOPIC...
The producer's name is its transactional id and the name of its group. Prints, each line before or after the call that it names:
"resumed PRODUCER FIRST_NUMBER OFFSET", "begin PRODUCER NUMBER RECORDS", "commit PRODUCER NUMBER", "committed PRODUCER NUMBER",
"aborted PRODUCER NUMBER", "fenced PRODUCER ERROR".
"""
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

address, name = sys.argv[1:3]
first, seed, partitions = map(int, sys.argv[3:6])
group_topic, topics = sys.argv[6], sys.argv[7:]
RECORDS_MAX = 8
ABORTED = 0.25
VALUE_BYTES = 120
CALL_SECONDS = 30
CLIENT = {
    "bootstrap.servers": address,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "socket.timeout.ms": 10000,
    "log_level": 0,
}

stopping = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopping.set()), daemon=True).start()
chance = random.Random(seed)


def say(*words):
    print(*words, flush=True)


def fenced(error):
    return error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, 90) or error.fatal()


def insist(call, *args):
    """Repeats a call as long as its error says that it may succeed later."""
    while True:
        try:
            return call(*args)
        except KafkaException as exception:
            error = exception.args[0]
            if error.retriable() or error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                time.sleep(0.02)
                continue
            raise


def start():
    made = Producer({**CLIENT, "transactional.id": name, "linger.ms": 1, "transaction.timeout.ms": 15000})
    insist(made.init_transactions, CALL_SECONDS)
    return made


def produce(producer, number, records):
    for index in range(records):
        value = ("%s:%d:%d:%d:" % (name, number, index, records)).ljust(VALUE_BYTES, "x")
        producer.produce(chance.choice(topics), value, partition=chance.randrange(partitions))
        if chance.random() < 0.2:
            producer.poll(0.001 * chance.random())


def transact(producer, group, number):
    records = 1 + chance.randrange(RECORDS_MAX)
    say("begin", name, number, records)
    producer.begin_transaction()
    try:
        produce(producer, number, records)
        if chance.random() < ABORTED:
            if chance.random() < 0.5:
                producer.flush(CALL_SECONDS)
            insist(producer.abort_transaction, CALL_SECONDS)
            say("aborted", name, number)
            return
        offset = TopicPartition(group_topic, 0, number + 1)
        insist(producer.send_offsets_to_transaction, [offset], group.consumer_group_metadata(), CALL_SECONDS)
        say("commit", name, number)
        insist(producer.commit_transaction, CALL_SECONDS)
        say("committed", name, number)
    except KafkaException as exception:
        if not exception.args[0].txn_requires_abort():
            raise
        insist(producer.abort_transaction, CALL_SECONDS)
        say("aborted", name, number)


try:
    producer = start()
    group = Consumer({**CLIENT, "group.id": name, "isolation.level": "read_committed"})
    committed = insist(group.committed, [TopicPartition(group_topic, 0)], CALL_SECONDS)[0]
    while committed.error is not None:
        committed = insist(group.committed, [TopicPartition(group_topic, 0)], CALL_SECONDS)[0]
    say("resumed", name, first, max(0, committed.offset))
    number = first
    while not stopping.is_set():
        transact(producer, group, number)
        number += 1
except KafkaException as exception:
    if not fenced(exception.args[0]):
        raise
    say("fenced", name, exception.args[0].name(), exception.args[0].str())
