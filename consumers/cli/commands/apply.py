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

from consumers.wire.user_error import UserError
from models.showers import readers
from models.simulation import sources

if TYPE_CHECKING:
    import argparse

    from models.scoring.scored import Scored
    from models.showers.batch import Showers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm apply`."""
    parser.add_argument("input", type=Path, metavar="IN", help="a file of showers")
    parser.add_argument("--artefact", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Parquet")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def run(args: argparse.Namespace) -> int:
    """Score chunk by chunk: a file may be larger than the memory."""
    from models.scoring.artefact import Artefact  # noqa: PLC0415  torch takes seconds
    from models.scoring.description import ArtefactError  # noqa: PLC0415

    partial = args.out.with_name(args.out.name + ".partial")
    try:
        artefact = Artefact.load(args.artefact)
        scorer = artefact.scorer(args.device)
        source = sources.open_source(args.input, artefact.geometry)
        schema = _schema(artefact.score_names, artefact.hash, artefact.reference.id)
        with pq.ParquetWriter(partial, schema) as writer, _bar() as bar:
            task = bar.add_task("apply", total=source.n)
            for recording in source.chunks():
                showers = recording.showers
                writer.write_table(_table(showers, scorer.score(showers), schema))
                bar.update(task, advance=showers.n)
        partial.replace(args.out)
    except (ArtefactError, readers.ReaderError, ValueError) as error:
        partial.unlink(missing_ok=True)
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"{args.out}: {error.strerror or error}") from None
    print(f"{args.out}: {source.n} showers, model {artefact.hash[:12]}")
    return 0


def _schema(score_names: tuple[str, ...], model: str, reference: str) -> pa.Schema:
    columns = [pa.field("e_inc", pa.float32())]
    columns += [pa.field(f"score_{name}", pa.float32()) for name in score_names]
    columns += [pa.field(f"p_{name}", pa.float64()) for name in score_names]
    metadata = {"calodqm.model": model, "calodqm.reference": reference}
    return pa.schema([*columns, pa.field("p", pa.float64())], metadata)


def _table(showers: Showers, scored: Scored, schema: pa.Schema) -> pa.Table:
    """Return the rows; what cannot be known of a shower is null.

    That is its response without an incident energy, and everything if a score is not finite.
    """
    names = [name.removeprefix("p_") for name in schema.names if name.startswith("p_")]
    bad = ~scored.valid
    unknown = np.isnan(showers.e_inc)
    columns: list[Any] = [pa.array(showers.e_inc, mask=unknown)]
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
