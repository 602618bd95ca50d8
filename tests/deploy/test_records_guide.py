"""The page for producers: its programs make records that are taken, its table has every reason."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from blocks import GEOMETRY

from consumers.wire.codec import decode
from monitor.quality.rejection import Rejection

GUIDE = Path(__file__).parents[2] / "deploy" / "guides" / "records.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def program(language):
    return re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[1]


def test_the_python_producer_makes_records_that_are_taken():
    names = {}
    exec(program("python").replace("from kafka import KafkaProducer\n", ""), names)  # noqa: S102
    numbers = np.arange(3)
    cells = np.ones((3, GEOMETRY.n_cells), np.float32)
    value = names["record"](numbers, numbers, numbers, numbers, numbers, numbers + 1.0, cells, 5)
    block = decode(value, GEOMETRY)
    assert block.seq == 5
    assert block.showers.n == 3


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_cpp_producer_makes_records_that_are_taken(tmp_path):
    source = tmp_path / "producer.cpp"
    source.write_text(program("cpp"), encoding="utf-8")
    libraries = pa.get_library_dirs()[0]
    # The wheel has its libraries under their versions only.
    library = next(Path(libraries).glob("libarrow.so.*[0-9]"))
    build = [
        *("g++", "-std=c++20", "-O0", str(source), "-I", pa.get_include(), str(library)),
        *("-Wl,-rpath," + libraries, "-o", str(tmp_path / "producer")),
    ]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    value = subprocess.run([tmp_path / "producer"], capture_output=True, check=True).stdout
    block = decode(value, GEOMETRY)
    assert (block.showers.n, block.producer) == (4, "daq-1")
    assert block.showers.cells[0, 39] == pytest.approx(9.75)


def test_the_json_at_the_prompt_is_taken():
    cells = json.dumps([0.25] * GEOMETRY.n_cells)
    text = program("json").replace("[0.25, 0.0, ...]", cells)
    assert np.isnan(decode(text.encode(), GEOMETRY).showers.e_inc[0])


def test_every_reason_is_in_the_table():
    assert set(re.findall(r"^\| `(\w+)` \| [^|]*\|$", TEXT, re.MULTILINE)) >= {
        r.value for r in Rejection
    }
