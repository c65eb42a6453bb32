"""A python3-kafka consumer as a member of a group: see ../member.ts for its arguments, what it prints and how it ends."""
import json
import signal
import sys
import threading
import time

from kafka import KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, KafkaError

settings = json.loads(sys.argv[1])
COMMIT_SECONDS = 0.2

stopping = False


def stop(*_):
    global stopping
    stopping = True


signal.signal(signal.SIGTERM, stop)


def join():
    return KafkaConsumer(
        settings["topic"],
        bootstrap_servers=settings["address"],
        client_id=settings["clientId"],
        group_id=settings["groupId"],
        partition_assignment_strategy=[
            RangePartitionAssignor if settings["assignor"] == "range" else RoundRobinPartitionAssignor
        ],
        session_timeout_ms=settings["sessionTimeoutMs"],
        heartbeat_interval_ms=settings["heartbeatMs"],
        max_poll_interval_ms=settings["rebalanceTimeoutMs"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=200,
        reconnect_backoff_ms=50,
        reconnect_backoff_max_ms=500,
        retry_backoff_ms=100,
    )


# Thrown out of the group while it stood still, python3-kafka keeps its positions, and would commit them although other members
# have gone further meanwhile. It begins anew then.
stood_still = threading.Event()


def watch():
    while True:
        before = time.monotonic()
        time.sleep(0.1)
        if time.monotonic() - before > settings["sessionTimeoutMs"] / 1000 / 2:
            stood_still.set()


threading.Thread(target=watch, daemon=True).start()
consumer = join()


def commit():
    try:
        consumer.commit()
    except (CommitFailedError, KafkaError) as error:
        print("note commit:", error, flush=True)


committed_at = time.monotonic()
while not stopping:
    polled = consumer.poll(timeout_ms=100)
    if stood_still.is_set():
        consumer.close(autocommit=False)
        stood_still.clear()
        consumer = join()
        continue
    for at, records in polled.items():
        for record in records:
            print("record", at.partition, record.offset)
    sys.stdout.flush()
    if time.monotonic() - committed_at >= COMMIT_SECONDS:
        commit()
        committed_at = time.monotonic()
commit()
consumer.close(autocommit=False)
