"""Sends blocks of showers to calodqm: `python producer.py BOOTSTRAP [RECORDS]`, so many for each key."""

import sys
import time
from collections import deque

import numpy as np
import pyarrow as pa
from kafka import KafkaProducer

TOPIC = "calo.showers.v1"
GEOMETRY = "pb-lar-504"
PRODUCER = "daq-python"
CELLS = 504
UNDER_WAY = 64
"""Records that may be on their way: the memory is bounded by this."""


def record(block, seq):
    """Return the value of a record, an Arrow stream with one batch.

    Every column of a block has N numbers; `cells` is a float32 array of shape (N, V), in MeV.
    """
    columns = {
        "event_id": pa.array(block["event_id"], pa.uint64()),
        "time": pa.array(block["time_ns"], pa.timestamp("ns", "UTC")),
        "run": pa.array(block["run"], pa.uint32()),
        "lumisection": pa.array(block["lumisection"], pa.uint32()),
        "region": pa.array(block["region"], pa.uint16()),
        "e_inc": pa.array(block["e_inc"], pa.float32()),
        "showers": pa.FixedSizeListArray.from_arrays(pa.array(block["cells"].ravel()), CELLS),
    }
    # The metadata belong to the schema, so each record has a schema of its own.
    about = {
        "calodqm.schema": "1",
        "calodqm.geometry": GEOMETRY,
        "calodqm.producer": PRODUCER,
        "calodqm.seq": str(seq),
    }
    batch = pa.RecordBatch.from_pydict(columns, metadata=about)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def block(sector, seq, n):
    """Return showers that are made up: replace it by what your data acquisition has read."""
    rows = np.arange(n)
    cells = np.tile(0.25 * (np.arange(CELLS, dtype=np.float32) % 40), (n, 1))
    return {
        "event_id": (seq * 4 + sector) * n + rows,
        "time_ns": time.time_ns() + 1000 * rows,
        "run": np.ones(n, np.int64),
        "lumisection": np.ones(n, np.int64),
        "region": 4 * sector + rows % 4,
        "e_inc": np.full(n, 5000.0),
        "cells": cells.astype(np.float32),
    }


def main(bootstrap, records=16):
    """Send blocks of four sectors and wait until the broker has them."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        enable_idempotence=True,  # nothing twice, nothing out of order
        compression_type=None,  # the buffers inside are compressed already
        max_request_size=8 << 20,
    )
    under_way, sent = deque(), 0
    for seq in range(records):  # a count of its own for each key, from 0
        for sector, key in enumerate("ABCD"):
            value = record(block(sector, seq, 64), seq)
            under_way.append(producer.send(TOPIC, value, key=key.encode()))
            sent += 1
            if len(under_way) > UNDER_WAY:  # back-pressure: this client bounds nothing itself
                under_way.popleft().get(timeout=60)
    for future in under_way:
        future.get(timeout=60)  # raises what went wrong
    producer.close()
    print(f"sent {64 * sent} showers in {sent} records")


if __name__ == "__main__":
    main(sys.argv[1], *(int(text) for text in sys.argv[2:]))
