"""What holds for every test of the monitor."""

import pytest
from law import law_in_force


@pytest.fixture(autouse=True)
def law(monkeypatch):
    """Hold every stream of good data to the law that a mean e-value is at most one."""
    with law_in_force(monkeypatch) as law:
        yield law
