"""Ranges and windows of counts at random, for what is said on the windows topic."""

import numpy as np
import orjson
import pyarrow as pa
from memory import TINY

from consumers.wire import ranges
from consumers.wire.ranges import Range, Worst
from consumers.wire.window_form import WindowForm
from monitor.windows.window import Window, WindowKey

FORM = WindowForm((3, 2, 8), TINY.n_cells, TINY.n_layers)


def window(seed, second, regions, form=FORM):
    rng = np.random.default_rng(seed)
    r = len(regions)
    dense = {
        name: rng.integers(-(2**33) if name == "z_sum" else 0, 2**40, (r, *shape))
        for name, shape in form.rows.items()
        if name != "unknown"
    }
    dense["unknown"] = np.zeros(r, np.int64)
    size = int(np.prod(form.shape))
    bins = np.sort(
        np.concatenate([reg * size + rng.choice(size, 5, replace=False) for reg in regions])
    )
    return Window(
        key=WindowKey(1, 2, second),
        regions=np.array(regions, np.int64),
        score_bins=bins.astype(np.int64),
        score_counts=rng.integers(1, 9, len(bins)),
        **dense,
    )


def entry(**changes):
    fields = {
        "topic": "t",
        "partition": 1,
        "token": 7,
        "begin": 10,
        "end": 20,
        "watermark_ns": 5,
        "caught_up": False,
        "showers": 30,
        "records": 10,
        "rejects": {"format": 1},
        "missing": 0,
        "seqs": {'["p","A"]': [3, 4]},
        "worker": "w",
        "model": "m",
        "worst": (Worst(1e-4, 1, 12, 0, 99, 3, 5),),
    }
    return Range(**{**fields, **changes})


def rewritten(value, change):
    """Return a range with its metadata changed by another version's worker."""
    reader = pa.ipc.open_stream(value)
    metadata = {k.decode(): v.decode() for k, v in reader.schema.metadata.items()}
    schema = reader.schema.with_metadata(change(metadata))
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in reader:
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return sink.getvalue().to_pybytes()


def with_fields(metadata, **fields):
    told = {**orjson.loads(metadata["calodqm.range"]), **fields}
    return {**metadata, "calodqm.range": orjson.dumps(told).decode()}


def saying(windows=(), **fields):
    """Return a range whose fields say anything."""
    value = ranges.encode_range(entry(), list(windows), FORM)
    return rewritten(value, lambda metadata: with_fields(metadata, **fields))
