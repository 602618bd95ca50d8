"""calodqm apply: score a shower file; a row a shower, in order, as Parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from consumers.cli import absent_cells, inputs, reading
from consumers.cli.reading import Files
from consumers.wire.user_error import UserError
from models.showers.layouts import SEED, STREAM
from models.showers.recordings import Bad, left_out

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from models.scoring.artefact import Artefact
    from models.scoring.scored import Scored
    from models.showers.readers import ShowerFile
    from models.showers.recordings import Recording
    from monitor.detector.tree import Detector

STREAM_TYPES = {
    "region": pa.uint16(),
    "run": pa.uint32(),
    "lumisection": pa.uint32(),
    "time": pa.timestamp("ns", "UTC"),
    SEED: pa.uint32(),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm apply`."""
    parser.add_argument("input", type=Path, metavar="IN", help="a file of showers")
    parser.add_argument("--artefact", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Parquet")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    absent_cells.add_arguments(parser)
    reading.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Score chunk by chunk: a file may be larger than the memory."""
    artefact = inputs.artefact(args.artefact)
    detector = absent_cells.detector_with_channels(args, artefact.geometry)
    conditions = artefact.feature_map.condition_names
    told = reading.said(args, conditions, stream=True, seeds=detector is not None)
    source = Files.open([args.input], artefact.geometry, told).opened[args.input]
    absent_cells.tell_unused(source)
    partial = args.out.with_name(args.out.name + ".partial")
    try:
        known, bad = _write(partial, source, artefact, args.device, detector)
        partial.replace(args.out)
    except (ValueError, UserError) as error:
        partial.unlink(missing_ok=True)
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{args.out}: {error.strerror or error}") from None
    if bad:
        reading.warn(f"{args.input}: {left_out(bad, source.n)}; their rows are null")
    energies = f"incident energies known of {known}"
    print(f"{args.out}: {source.n} showers, {energies}, model {artefact.hash[:12]}")
    return 0


def _write(
    path: Path, source: ShowerFile, artefact: Artefact, device: str, detector: Detector | None
) -> tuple[int, tuple[Bad, ...]]:
    """Write the rows; return how many incident energies are known, and which rows are null."""
    scorer = absent_cells.scorer_of(artefact, device, detector)
    stream = [name for name in (*STREAM, SEED) if name in source.layout.others]
    schema = _schema(artefact.score_names, artefact.hash, artefact.reference.id, stream)
    known, bad, at = 0, list[Bad](), 0
    with pq.ParquetWriter(path, schema) as writer, _bar() as bar:
        task = bar.add_task("apply", total=source.n)
        for part in source.chunks():
            known += int(np.count_nonzero(~np.isnan(part.showers.e_inc)))
            bad += part.bad
            n = part.showers.n + len(part.bad)
            absent_cells.check_seeds(source, part.showers, part.row, detector)
            hidden = absent_cells.hidden_of(part.showers, detector, part.stream.get("time"))
            table = _table(part, scorer.score(part.showers, hidden=hidden), schema)
            writer.write_table(_in_place(table, part.row - at, n))
            at += n
            bar.update(task, advance=n)
    return known, tuple(bad)


def _in_place(table: pa.Table, row: NDArray[np.int64], n: int) -> pa.Table:
    """Return n rows: those of the table in their places, null ones between them."""
    if len(row) == n:
        return table
    place = np.full(n, -1)
    place[row] = np.arange(len(row))
    return table.take(pa.array(place, mask=place < 0))


def _schema(
    score_names: tuple[str, ...], model: str, reference: str, stream: list[str]
) -> pa.Schema:
    columns = [pa.field(name, STREAM_TYPES[name]) for name in stream]
    columns += [pa.field("e_inc", pa.float32())]
    columns += [pa.field(f"score_{name}", pa.float32()) for name in score_names]
    columns += [pa.field(f"p_{name}", pa.float64()) for name in score_names]
    metadata = {"calodqm.model": model, "calodqm.reference": reference}
    return pa.schema([*columns, pa.field("p", pa.float64())], metadata)


def _table(recording: Recording, scored: Scored, schema: pa.Schema) -> pa.Table:
    """Return the rows; what cannot be known of a shower is null.

    That is its response without an incident energy, and everything if a score is not finite.
    """
    showers = recording.showers
    names = [name.removeprefix("p_") for name in schema.names if name.startswith("p_")]
    bad = ~scored.valid
    unknown = np.isnan(showers.e_inc)
    stream = dict(recording.stream)
    if showers.seeds is not None:
        stream[SEED] = showers.seeds
    columns: list[Any] = [
        pa.array(values).cast(schema.field(name).type) for name, values in stream.items()
    ]
    columns += [pa.array(showers.e_inc, mask=unknown)]
    for values in (scored.scores, scored.p):
        for index, name in enumerate(names):
            mask = bad | unknown if name == "response" else bad
            columns.append(pa.array(np.ascontiguousarray(values[:, index]), mask=mask))
    columns.append(pa.array(scored.p_combined, mask=bad))
    return pa.Table.from_arrays(columns, schema=schema)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
    )
