#!/usr/bin/env python3
"""Brokers of Kafka as librdkafka plays them for its own tests: they speak the protocol, and keep messages in memory.

    kafka_mock.py BROKERS

Says where they are in its first line, and then obeys commands, a line each, and says `done`:

    topic NAME PARTITIONS   makes a topic
    down BROKER             closes all connections of a broker, and accepts none
    up BROKER               accepts them again
    lead TOPIC PARTITION BROKER
                            has another broker lead a partition
    fail API CODE COUNT     answers the next requests of this kind with this error

It ends with its input.
"""
import ctypes
import sys

rdkafka = ctypes.CDLL("librdkafka.so.1")
for name, result in (
    ("rd_kafka_conf_new", ctypes.c_void_p),
    ("rd_kafka_new", ctypes.c_void_p),
    ("rd_kafka_mock_cluster_new", ctypes.c_void_p),
    ("rd_kafka_mock_cluster_bootstraps", ctypes.c_char_p),
):
    getattr(rdkafka, name).restype = result

PRODUCER = 0
reason = ctypes.create_string_buffer(512)
conf = ctypes.c_void_p(rdkafka.rd_kafka_conf_new())
handle = ctypes.c_void_p(rdkafka.rd_kafka_new(PRODUCER, conf, reason, len(reason)))
if not handle:
    sys.exit(reason.value.decode())
cluster = ctypes.c_void_p(rdkafka.rd_kafka_mock_cluster_new(handle, int(sys.argv[1])))
print(rdkafka.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)

for line in sys.stdin:
    match line.split():
        case ["topic", name, partitions]:
            failed = rdkafka.rd_kafka_mock_topic_create(cluster, name.encode(), int(partitions), 1)
        case ["down", broker]:
            failed = rdkafka.rd_kafka_mock_broker_set_down(cluster, int(broker))
        case ["up", broker]:
            failed = rdkafka.rd_kafka_mock_broker_set_up(cluster, int(broker))
        case ["lead", topic, partition, broker]:
            failed = rdkafka.rd_kafka_mock_partition_set_leader(cluster, topic.encode(), int(partition), int(broker))
        case ["fail", api, code, count]:
            # A function of variable arguments.
            codes = [ctypes.c_int(int(code))] * int(count)
            push = rdkafka.rd_kafka_mock_push_request_errors
            push(cluster, ctypes.c_int16(int(api)), ctypes.c_size_t(len(codes)), *codes)
            failed = 0
        case _:
            failed = "no such command"
    print(f"failed: {failed}" if failed else "done", flush=True)
