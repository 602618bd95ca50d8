"""What memory a judge needs is said before it dies of the lack."""

import pytest

from consumers.app import environment, needs
from consumers.cli import machine
from consumers.cli.finding import Finding


@pytest.mark.parametrize(("told", "gib"), [("1073741824\n", 1), ("max\n", None), (None, None)])
def test_a_container_has_what_it_may_take(tmp_path, told, gib):
    limit = tmp_path / "memory.max"
    if told is not None:
        limit.write_text(told)
    whole = needs.psutil.virtual_memory().total / 2**20
    assert needs.memory_mib(limit) == (whole if gib is None else gib * 1024)


def test_a_judge_that_fits_lacks_nothing():
    assert needs.shortage(16, 504, 1024) == ""
    assert "1,024 regions of 504 cells" in needs.shortage(1024, 504, 1000)


def of_memory(part: str) -> list[Finding]:
    given = environment.load({}, {})
    return [found for found in machine.findings(given, part) if found.what == "memory"]


def test_doctor_says_what_a_judge_needs_and_what_it_lacks(monkeypatch):
    [found] = of_memory("judge")
    assert found.well
    assert found.text.startswith("a judge needs some 201 MiB of")
    monkeypatch.setattr(needs, "memory_mib", lambda: 100.0)
    [found] = of_memory("judge")
    assert not found.well
    assert "16 regions of 504 cells: the judge needs some 0.2 GiB of memory" in found.text
    assert found.mend
