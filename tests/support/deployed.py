"""What lies under deploy/, loaded as its users load it."""

import sys
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "calodqm.rules.yml"

sys.path.append(str(DEPLOY))  # as if `python deploy/generate.py` were run

import generate

__all__ = ["DEPLOY", "RULES", "alerts", "generate", "rules"]


def rules():
    """Return every rule of the production file."""
    document = yaml.safe_load(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts():
    """Return the alerting rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
