"""The script that takes the figures of a GPU runs to its end, here on the CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "gpu" / "measure.py"


@pytest.mark.slow
def test_the_script_runs_to_its_end_where_there_is_no_card(tmp_path):
    out = tmp_path / "figures.json"
    sizes = ("--batches", "32", "300", "--seconds", "0.05", "--side", "64")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(out), *sizes],
        cwd=SCRIPT.parents[2],
        env={"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "no card here" in done.stderr
    told = json.loads(out.read_text())
    assert told["device"] == "cpu: no card here"
    assert told["agreement"]["agrees"]
    assert told["agreement"]["same_bits_in_other_batches"]
    assert [one["batch"] for one in told["resident"]] == [32, 300]
    for one in (*told["resident"], *told["end_to_end"]):
        assert one.get("per_s", one.get("eager_per_s")) > 0
    assert told["resident"][0]["graph_per_s"] is None
    assert told["resident"][0]["flops_a_shower"] > 100_000
