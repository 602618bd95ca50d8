"""Fuzzing of every decoder, led by the coverage of our own code: `make fuzz MINUTES=30`.

Needs atheris, which no test needs. What it finds stays in a folder that it names; bytes that made a
decoder fail become named payloads in `hostile` or `poison`, with the mend.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MAX_BYTES = 16_384
"""Longest input: what decoders decide by is in the beginning."""

KEPT = 40
KEPT_BYTES = 4096
"""Most files that a run adds to the corpus of a decoder, and the longest of them."""


def main() -> int:
    """Fuzz each decoder for its share of the minutes; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="in all")
    parser.add_argument("--decoder", action="append", help="this one only; may be repeated")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what was found")
    parser.add_argument("--target", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()
    if args.target:
        return _child(args.target, rest)
    import decoders  # here, for a child must import it with instruments

    names = args.decoder or list(decoders.DECODERS)
    failed = total = 0
    for name in names:
        runs, bad = _fuzz(name, 60 * args.minutes / len(names), keep=args.keep)
        total, failed = total + runs, failed + bad
        print(f"{name:10} {runs:>12,} inputs, {bad} failed", flush=True)
    print(f"{'all':10} {total:>12,} inputs, {failed} failed")
    return 1 if failed else 0


def _fuzz(name: str, seconds: float, *, keep: bool) -> tuple[int, int]:
    """Fuzz one decoder in a process of its own; return how many inputs ran, and how many failed."""
    import decoders

    folder = Path(tempfile.mkdtemp(prefix=f"calodqm-fuzz-{name}-"))
    found, begun = folder / "found", folder / "begun"
    for part in (found, begun):
        part.mkdir()
    for value in (*decoders.seeds(name), *(path.read_bytes() for path in decoders.kept(name))):
        if len(value) <= MAX_BYTES:
            _write(begun, value)
    options = [
        f"-max_total_time={max(1, int(seconds))}", f"-max_len={MAX_BYTES}", "-timeout=30",
        "-rss_limit_mb=4096", "-print_final_stats=1", f"-artifact_prefix={folder}/failed-",
    ]  # fmt: skip
    log = _run(name, [*options, str(found), str(begun)], folder / "log")
    if keep:
        _keep(name, found)
    bad = len(list(folder.glob("failed-*"))) or int("number_of_executed_units" not in log)
    if bad:
        print(f"{name}: see {folder}/log")
    runs = re.search(r"number_of_executed_units:\s*(\d+)", log)
    return int(runs[1]) if runs else 0, bad


def _keep(name: str, found: Path) -> None:
    """Put the shortest inputs that covered something new into the corpus, beside what is there."""
    import decoders

    target = decoders.CORPUS / name
    target.mkdir(parents=True, exist_ok=True)
    values = sorted((path.read_bytes() for path in found.iterdir()), key=len)
    for value in values[:KEPT]:
        if len(value) <= KEPT_BYTES:
            _write(target, value)


def _write(folder: Path, value: bytes) -> None:
    (folder / hashlib.sha256(value).hexdigest()[:16]).write_bytes(value)


def _run(name: str, options: list[str], log: Path) -> str:
    command = [sys.executable, __file__, "--target", name, *options]
    with log.open("wb") as out:
        subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    return log.read_text(errors="replace")


def _child(name: str, options: list[str]) -> int:
    import atheris

    with atheris.instrument_imports(
        include=[
            "consumers.wire",
            "consumers.http",
            "consumers.exactly_once",
            "monitor.quality",
            "monitor.detector",
            "models.detector",
            "models.simulation.fault_form",
        ]
    ):
        import decoders

    logging.disable(logging.WARNING)  # a line an input would be its bulk
    atheris.Setup([sys.argv[0], *options], decoders.DECODERS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
