"""calodqm gains: the gain of every channel with its error, out of the showers that were judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from consumers.app import detector_files, environment, speaking, wiring
from consumers.cli import reading
from consumers.wire.user_error import UserError
from models.scoring.response import channel_response
from monitor.reference.gains import estimated
from monitor.windows.channel_sums import Standard

if TYPE_CHECKING:
    import argparse

    from models.detector.channels import Channels
    from monitor.reference.gains import Gains

MEASURED_ON = 2000
"""Good showers that the response is measured on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `calodqm gains`."""
    parser.add_argument(
        "--showers",
        type=Path,
        required=True,
        metavar="FILE",
        help="good showers, on which it is measured how latents move with gains",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="Parquet")
    reading.add_arguments(parser)
    environment.add_arguments(parser, "bootstrap", "prefix", "detector", "artefact")


def run(args: argparse.Namespace) -> int:
    """Write a row for each channel."""
    given = environment.from_arguments(args)
    detector = detector_files.detector_of(given)
    channels = detector.channels
    if channels is None:
        raise UserError("the detector file says no channels: there are no gains to estimate")
    artefact = wiring.artefact_of(given)
    with speaking.opened_log(given) as log:
        known = wiring.newest_state(given, artefact, detector, log)
    if known is None or known.monitor.channels is None:
        raise UserError("no judge has left a snapshot for this detector and model yet")
    standard = Standard.of(artefact.reference)
    files = reading.opened(args, artefact, [args.showers])
    showers = files.showers(args.showers)[slice(0, MEASURED_ON)]
    scorer = artefact.scorer(given.device)
    response = channel_response(scorer, showers, artefact.geometry, standard.mean, standard.sigma)
    taught = known.monitor.channels.live.total
    found = estimated(taught, channels, response, artefact.geometry.noise_mev)
    regions = [region.name for region in detector.regions]
    parquet.write_table(table(found, channels, regions), args.out)
    known_gains = np.isfinite(found.gain)
    print(f"{known_gains.sum()} of {len(channels)} channels have a gain: {args.out}")
    return 0


def table(gains: Gains, channels: Channels, regions: list[str]) -> pa.Table:
    """Return the gains with a row for each channel; null where too few showers have come."""
    unknown = np.isnan(gains.gain)
    return pa.table(
        {
            "channel": pa.array(np.arange(len(channels)), pa.uint32()),
            "name": pa.array(channels.names),
            "region": pa.array([regions[row] if row >= 0 else None for row in channels.region]),
            "layer": pa.array([channels.layers[layer] for layer in channels.layer]),
            "showers": pa.array(gains.showers.astype(np.int64)),
            "gain": pa.array(gains.gain, mask=unknown),
            "error": pa.array(gains.error, mask=unknown),
            "pedestal_mev": pa.array(gains.pedestal_mev, mask=unknown),
        }
    )
