"""Options of the test suite: how often what is random or deadly is repeated."""

import pytest


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


@pytest.fixture
def mutations(request):
    return request.config.getoption("--mutations")
