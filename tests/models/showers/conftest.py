"""What tests of shower files are given."""

import numpy as np
import pytest
from shower_files import N


@pytest.fixture
def cells():
    return np.random.default_rng(1).normal(0, 5, (N, 8)).astype(np.float32)


@pytest.fixture
def energy():
    return np.linspace(1000, 7000, N, dtype=np.float32)
