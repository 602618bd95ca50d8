"""What we depend on is listed, and nothing of it is what a laboratory may not use."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from deployed import DEPLOY

ROOT = DEPLOY.parent
LICENCES = tomllib.loads((DEPLOY / "licences.toml").read_text())
WORDS = {"AND", "OR", "WITH"}
VAGUE = {"License :: OSI Approved", "License :: DFSG approved"}


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def licences(distribution):
    """Return the licences that a package states: SPDX identifiers, classifiers, or a free text."""
    stated = distribution.metadata.get("License-Expression")
    if stated:
        return set(re.findall(r"[\w.+-]+", stated)) - WORDS
    classifiers = distribution.metadata.get_all("Classifier") or []
    said = {c for c in classifiers if c.startswith("License ::")} - VAGUE
    return said or {distribution.metadata.get("License") or ""} - {""}


def fault(name, stated):
    """Return what is wrong with a package, nothing if a laboratory may use it."""
    if name.startswith(tuple(LICENCES["proprietary"]["prefixes"])) or name in LICENCES["unsaid"]:
        return ""
    if not stated:
        return f"{name} does not say its licence"
    allowed = {*LICENCES["allowed"], *LICENCES["exceptions"], *LICENCES["classifiers"]}
    return "".join(f"{name}: {licence} " for licence in sorted(stated - allowed))


def test_every_licence_is_one_that_a_laboratory_may_use():
    found = {normal(d.name): licences(d) for d in distributions()}
    assert len(found) > 50
    assert [line for name, stated in sorted(found.items()) if (line := fault(name, stated))] == []


@pytest.mark.parametrize(
    ("stated", "said"),
    [({"GPL-3.0-only"}, "GPL-3.0-only"), ({"MIT", "AGPL-3.0-only"}, "AGPL"), (set(), "not say")],
)
def test_a_licence_that_is_not_allowed_or_not_stated_is_named(stated, said):
    assert said in fault("something", stated)


def test_what_says_nothing_was_looked_up_and_still_says_nothing():
    for d in distributions():
        if normal(d.name) in LICENCES["unsaid"]:
            assert not d.metadata.get("License-Expression"), d.name
    known = {*LICENCES["allowed"]}
    assert set(LICENCES["unsaid"].values()) <= known


def test_the_image_has_no_library_that_is_not_free():
    assert "/whl/cpu" in (DEPLOY / "Containerfile").read_text()


@pytest.mark.slow
def test_the_bill_of_materials_names_every_package_with_its_version_and_licence(tmp_path):
    path = tmp_path / "bom.json"
    environment = os.environ | {"UV": str(Path(sys.executable).with_name("uv"))}
    command = [ROOT / ".ci" / "sbom", sys.executable, path]
    subprocess.run(command, env=environment, check=True, timeout=250)
    bill = json.loads(path.read_text())
    assert bill["bomFormat"] == "CycloneDX"
    listed = {normal(c["name"]): c for c in bill["components"]}
    ours = bill["metadata"]["component"]
    there = {normal(d.name): d.version for d in distributions()} | {ours["name"]: ours["version"]}
    del there[normal(ours["name"])]
    assert {n: c["version"] for n, c in listed.items() if n != normal(ours["name"])} == there
    silent = {name for name, c in listed.items() if not c.get("licenses")}
    proprietary = tuple(LICENCES["proprietary"]["prefixes"])
    assert {n for n in silent if not n.startswith(proprietary)} <= set(LICENCES["unsaid"])


def test_the_image_ships_the_bill_of_what_is_in_it():
    text = (DEPLOY / "Containerfile").read_text()
    assert "COPY --from=chosen /app /app" in text
    for stage in re.split(r"^FROM ", text, flags=re.MULTILINE):
        # Whoever changes the environment writes the bill after it.
        if changed := re.findall(r"/venv/bin/pip \w+", stage):
            assert "cyclonedx-py environment" in stage.rpartition(changed[-1])[2]
