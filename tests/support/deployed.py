"""What lies under deploy/, loaded as its users load it."""

import sys
import tomllib
from functools import cache
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "calodqm.rules.yml"
VERSIONS = tomllib.loads((DEPLOY / "versions.toml").read_text())

sys.path.append(str(DEPLOY))  # as if `python deploy/generate.py` were run

import generate

from monitor.display.rules.site import Site

SITE = Site.load(generate.SITE)
"""The site whose rules are committed."""

__all__ = [
    "DEPLOY", "RULES", "SITE", "VERSIONS", "Site", "alerts", "all_loaded", "generate", "loaded", "rules"
]  # fmt: skip


def loaded(text):
    """Return what a document of YAML says; libyaml takes a tenth of the time of Python's parser."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def all_loaded(text):
    """Return what each of several documents in one text says."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


@cache
def rules():
    """Return every rule of the production file."""
    document = loaded(RULES.read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


@cache
def alerts():
    """Return the alerting rules by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
