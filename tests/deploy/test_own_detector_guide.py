"""The guide for a detector of one's own: its files load, its commands are commands."""

import re
import shlex
from pathlib import Path

import pytest

from consumers.cli import command
from models.detector import channel_files, geometry, known_bad
from models.detector.files import SHIPPED
from models.detector.parts import GridGroup, GridLayer, Part
from monitor.detector import tree

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy" / "guides" / "own-detector.md").read_text(encoding="utf-8")


def code(language: str) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [text for name, text in blocks if name == language]


def test_the_geometry_is_one_that_ships() -> None:
    (text,) = code("json")
    shipped = (SHIPPED / "crystals-25.json").read_text(encoding="utf-8")
    assert geometry.parse(text) == geometry.parse(shipped)


@pytest.mark.slow
def test_the_grid_is_the_barrel_that_ships(tmp_path: Path) -> None:
    path = tmp_path / "detector.toml"
    path.write_text(code("toml")[0])
    channels = tree.load(path).channels
    assert channels is not None
    whole = channel_files.load(ROOT / "deploy" / "detectors" / "barrel.toml")
    assert channels.names == whole.names
    assert set(channels.groups) < set(whole.groups)


def test_the_sectors_of_the_grid_may_lie_in_another(tmp_path: Path) -> None:
    path = tmp_path / "detector.toml"
    path.write_text(code("toml")[0] + code("toml")[2])
    assert list(tree.load(path).sectors) == ["barrel", "EB-", "EB+"]


def test_the_tables_are_read(tmp_path: Path) -> None:
    text = code("toml")[1]
    header, patches = re.findall(r'"(?:channels|patches)\.csv"\s*# (.*)', text)
    rows = "0,front,W1,0,0,10,10,f0,c1\n1,back,W1,0,0,20,20,b0,c1\n"
    (tmp_path / "channels.csv").write_text(f"{header}\n{rows}")
    (tmp_path / "patches.csv").write_text("seed,a,b\n0,0,1\n")
    assert patches.startswith("seed")
    path = tmp_path / "detector.toml"
    path.write_text(text)
    channels = tree.load(path).channels
    assert channels is not None
    assert list(channels.groups) == ["card/c1"]


def test_what_is_known_to_be_bad_is_read(tmp_path: Path) -> None:
    (text,) = [block for block in code("") if block.startswith("channel,from")]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    channels = channel_files.load(ROOT / "deploy" / "detectors" / "barrel.toml")
    assert len(known_bad.load(path, channels).entries) == 2


def test_every_key_of_a_part_is_in_the_table() -> None:
    told = set(re.findall(r"`(\w+)", TEXT[TEXT.index("| key | what |") : TEXT.index("Ids count")]))
    keys = {*Part.__dataclass_fields__, *GridLayer.__dataclass_fields__}
    keys |= set(GridGroup.__dataclass_fields__)
    assert keys - {"name", "layers", "groups"} <= told


@pytest.mark.parametrize(
    "line", [line for block in code("") for line in block.splitlines() if "calodqm " in line]
)
def test_a_command_is_one(line: str) -> None:
    words = [word for word in shlex.split(line) if not word.startswith("CALODQM_")]
    assert words[0] == "calodqm"
    command.parser(words[1:]).parse_args(words[1:])
    for path in re.findall(r"(?:deploy|models)/[\w./-]+", line):
        assert (ROOT / path).exists() or path.endswith("-flux"), path
