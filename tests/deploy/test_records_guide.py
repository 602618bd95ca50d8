"""The guide for producers: its table has every reason, its pages show the programs that are tested."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from blocks import GEOMETRY

from consumers.wire import contract
from consumers.wire.codec import decode
from monitor.quality.rejection import Rejection

DEPLOY = Path(__file__).parents[2] / "deploy"
TEXT = (DEPLOY / "guides" / "records.md").read_text(encoding="utf-8")
PROGRAMS = {
    "python": "python/producer.py",
    "cpp": "cpp/producer.cpp",
    "java": "java/src/main/java/Producer.java",
    "go": "go/main.go",
    "rust": "rust/src/main.rs",
    "javascript": "javascript/producer.mjs",
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_page_shows_the_program_that_is_run(language):
    page = (DEPLOY / "guides" / f"records-{language}.md").read_text(encoding="utf-8")
    program = (DEPLOY / "producers" / PROGRAMS[language]).read_text(encoding="utf-8")
    assert f"\n{program}```\n" in page
    assert f"(records-{language}.md)" in TEXT


def test_every_file_that_the_pages_name_is_there():
    for page in (DEPLOY / "guides").glob("records*.md"):
        words = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", words):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_json_at_the_prompt_is_taken():
    cells = json.dumps([0.25] * GEOMETRY.n_cells)
    program = re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1]
    text = program.replace("[0.25, 0.0, ...]", cells)
    assert np.isnan(decode(text.encode(), GEOMETRY).showers.e_inc[0])


def test_every_reason_is_in_the_table():
    rows = set(re.findall(r"^\| `(\w+)` \| [^|]*\|$", TEXT, re.MULTILINE))
    assert rows >= {r.value for r in Rejection}


def test_the_tables_are_those_of_the_contract():
    columns = TEXT[TEXT.index("## Columns") : TEXT.index("**What is free")]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", columns, re.MULTILINE))
    for name, column in contract.COLUMNS.items():
        kind = contract.type_name(column.type)
        wanted = f"fixed_size_list<{kind}>[V]" if name == contract.CELLS else kind
        assert rows[name] == wanted
    assert set(re.findall(r"^\| `(calodqm\.\w+)` \|", TEXT, re.MULTILINE)) == set(contract.METADATA)
