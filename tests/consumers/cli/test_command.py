"""What every command begins with."""

import os
import subprocess
import sys

import pytest

AFTER_A_COMMAND = """
import os
from consumers.cli.command import main
main(["plan", "--regions", "16", "--rate", "1000", "--json"])
import numpy as np
np.ones((600, 600)) @ np.ones((600, 600))
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="with one processor NumPy starts no threads"
)
@pytest.mark.parametrize(("given", "alone"), [({}, True), ({"OPENBLAS_NUM_THREADS": "2"}, False)])
def test_products_of_numpy_take_no_second_core_unless_somebody_says_so(given, alone):
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")} | given
    command = [sys.executable, "-c", AFTER_A_COMMAND]
    told = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert (int(told.stdout.split()[-1]) == 1) is alone
