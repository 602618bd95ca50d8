"""The wheel alone: built, unpacked elsewhere, and run with nothing of this folder on the path."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel's contents, in an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(folder),
            str(ROOT),
        ],
        check=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def calodqm(site, *words):
    """Return what `calodqm WORDS` of the wheel does, in a folder without anything."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-m", "consumers", *words],
        cwd=site.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_packages_come_from_the_wheel(unpacked):
    code = "import consumers, models, monitor; print(consumers.__file__, monitor.__file__)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=unpacked.parent,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.count(str(unpacked)) == 2
    assert calodqm(unpacked, "--version").stdout == "calodqm 0.1.0\n"


def test_runbooks_showers_models_and_the_licence_are_in_it(unpacked):
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    for name in (
        "monitor/display/runbooks/CaloAlarmPage.md",
        "monitor/display/page/index.html",
        "models/geant4/pb-lar/gamma_demo.h5",
    ):
        assert name in held
    assert any(name.endswith("licenses/LICENSE") for name in held)
    others = ("tests/", "deploy/", "models/geant4/pb-lar/gamma_spread")
    assert not [name for name in held if name.startswith(others)]


@pytest.mark.timed
def test_the_demo_runs_from_the_wheel_and_tells_in_plain_lines_as_things_happen(unpacked):
    done = calodqm(
        unpacked,
        *("demo", "--fault-at", "15", "--until-alarm", "--seconds", "90", "--http-port", "0"),
    )
    assert done.returncode == 0, done.stderr[-500:]
    lines = done.stdout.splitlines()
    order = ["Starting", "open http", "keeps all in memory", "good data flow", "detector breaks"]
    found = [next(i for i, line in enumerate(lines) if words in line) for words in order]
    assert found == sorted(found)
    assert any("ALARM" in line and "B2" in line for line in lines)
    assert "\x1b" not in done.stdout
