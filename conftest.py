"""Options of the test suite, and how it is shared out among processes side by side (pytest -n)."""

import os
from pathlib import Path

import pytest

SIDE_BY_SIDE = "PYTEST_XDIST_WORKER" in os.environ
if SIDE_BY_SIDE:
    # Before anything imports torch: threads of several processes would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

SERVICES = Path(__file__).parent / "tests" / "integration"

LONGEST_FIRST = (
    "test_upgrade", "test_models", "test_page", "test_ingest", "test_secured", "test_commands",
    "test_mixed_fleet", "test_exactly_once", "test_masks", "test_alertmanager",
)  # fmt: skip
"""Files that wait for services: begun early, while others compute, so that no process is last."""


def pytest_addoption(parser):
    parser.addoption(
        "--mutations",
        type=int,
        default=20_000,
        help="mutated payloads for the codec; 100000 in full",
    )
    parser.addoption("--kills", type=int, default=1, help="repeats of the kill -9 test; 3 in full")


def pytest_generate_tests(metafunc):
    if "kill" in metafunc.fixturenames:
        metafunc.parametrize("kill", range(metafunc.config.getoption("--kills")))


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path):
    """Look for doctests only where there are some: a file is read sooner than it is imported."""
    found = yield
    if file_path.suffix == ".py" and ">>>" not in file_path.read_text(encoding="utf-8"):
        return [module for module in found if type(module) is pytest.Module]
    return found


def pytest_itemcollected(item):
    """Mark what needs services."""
    if SERVICES in item.path.parents:
        item.add_marker("services")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if SIDE_BY_SIDE:
        items.sort(key=_turn)


def _turn(item):
    if item.path.stem in LONGEST_FIRST:
        return LONGEST_FIRST.index(item.path.stem)
    return len(LONGEST_FIRST) + (item.get_closest_marker("services") is None)


def pytest_terminal_summary(terminalreporter):
    """Tell the figures that tests recorded: a process side by side has no terminal of its own."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {name} {value}")


@pytest.fixture
def mutations(request):
    return request.config.getoption("--mutations")
