"""Units file: units are kept as soon as they are made, and those of before stay."""

from argparse import ArgumentParser

import pytest

from consumers.bench import units_file
from consumers.bench.units_file import Task


def told(done):
    return f"{len(done)} units of {', '.join(unit['part'] for unit in done)}\n"


def arguments(path, *more):
    parser = ArgumentParser()
    units_file.add_arguments(parser)
    return parser.parse_args(["--out", str(path), *more])


def task(done):
    n = len(done)
    return Task(f"a #{n}", {"part": "a", "seed": n}, lambda: {"days": n + 1})


def test_units_add_up_over_calls(tmp_path):
    path = tmp_path / "figures" / "units.json"
    units_file.fill(arguments(path, "--units", "2"), task, told)
    done = units_file.fill(arguments(path, "--units", "1"), task, told)
    assert [(unit["seed"], unit["days"]) for unit in done] == [(0, 1), (1, 2), (2, 3)]
    assert units_file.read(path) == done
    assert path.with_suffix(".md").read_text() == "3 units of a, a, a\n"
    assert set(done[0]) == {"part", "seed", "commit", "done", "cpu_s", "days"}


def test_a_unit_that_fails_leaves_those_before_it(tmp_path):
    def second_fails(done):
        return task(done) if not done else Task("b", {"part": "b"}, lambda: {}["nothing"])

    path = tmp_path / "units.json"
    with pytest.raises(KeyError):
        units_file.fill(arguments(path), second_fails, told)
    assert [unit["part"] for unit in units_file.read(path)] == ["a"]
    assert path.with_suffix(".md").read_text() == "1 units of a\n"


def test_no_unit_is_begun_after_the_time_that_is_given(tmp_path):
    path = tmp_path / "units.json"
    assert units_file.fill(arguments(path, "--minutes", "0"), task, told) == []
    assert not path.exists()
