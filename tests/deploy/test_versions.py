"""One place for versions: what is deployed is what was tested, and every file says the same."""

import json
import re
import subprocess
import tomllib

import pytest
from deployed import DEPLOY, VERSIONS, loaded

from consumers import VERSION

ROOT = DEPLOY.parent
COMPOSE = loaded((DEPLOY / "compose.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CREWS = ROOT / "tests" / "compat"
OURS = VERSIONS["calodqm"]


def pinned(name):
    """Return the image of a program as it is to be deployed."""
    entry = VERSIONS[name]
    return entry["image"] + (f"@{entry['digest']}" if "digest" in entry else "")


def images():
    """Yield every image that anything under deploy/ starts, and the file that says so."""
    for path in sorted(DEPLOY.rglob("*")):
        if path.suffix in {".yaml", ".yml"} or path.name == "Containerfile":
            text = re.sub(r"#.*", "", path.read_text())
            stages = {*re.findall(r"^FROM \S+ AS (\S+)", text, re.MULTILINE), "${PART}"}
            for image in re.findall(r"^\s*(?:FROM|image:)\s+(\S+)", text, re.MULTILINE):
                if image not in stages:
                    yield path.relative_to(DEPLOY).as_posix(), image


@pytest.mark.parametrize("name", [n for n, entry in VERSIONS.items() if "deployed" in entry])
def test_what_is_deployed_was_tested_or_says_that_it_was_not(name):
    entry = VERSIONS[name]
    if name != "calodqm":
        assert (entry["deployed"] in entry["tested"]) != ("not_run" in entry)
    if "image" in entry:
        assert re.search(rf":v?{re.escape(entry['deployed'])}(?![\d.])", entry["image"])


def test_every_image_is_the_one_that_is_named_once():
    allowed = {pinned(name) for name, entry in VERSIONS.items() if "image" in entry}
    found = list(images())
    assert len(found) >= 9
    assert [(where, image) for where, image in found if image not in allowed] == []
    assert {image for _, image in found} == allowed


def test_no_tag_is_one_that_moves_to_another_version():
    assert [image for _, image in images() if not re.search(r":v?\d+\.\d+", image)] == []


@pytest.mark.parametrize("name", ["kafka", "prometheus", "alertmanager", "grafana"])
def test_what_others_make_is_pinned_to_its_bytes(name):
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", VERSIONS[name]["digest"])
    assert COMPOSE["services"][name]["image"] == pinned(name)


def test_our_own_version_is_the_same_everywhere():
    kustomization = loaded((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    name, tag = OURS["image"].rsplit(":", 1)
    assert kustomization["images"] == [{"name": name, "newTag": tag}]
    assert {PROJECT["version"], VERSION, tag} == {OURS["deployed"]}


def test_python_and_torch_are_those_of_the_project():
    assert PROJECT["requires-python"] == f">={VERSIONS['python']['tested'][0]}"
    constraints = (ROOT / "constraints.txt").read_text()
    assert f"torch=={VERSIONS['torch']['deployed']}\n" in constraints


def test_dashboards_are_drawn_with_the_grafana_that_is_deployed():
    package = json.loads((DEPLOY / "grafana" / "render" / "package.json").read_text())
    ours = {name: v for name, v in package["dependencies"].items() if name.startswith("@grafana/")}
    assert set(ours.values()) == {VERSIONS["grafana"]["deployed"]}


def version_of(program):
    """Return the version of a program as it stands on the path."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return re.search(r"version ([\d.]+)", said.stdout + said.stderr)[1]


@pytest.mark.services
@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("promtool", "prometheus"),
        ("prometheus", "prometheus"),
        ("amtool", "alertmanager"),
        ("prometheus-alertmanager", "alertmanager"),
    ],
)
def test_the_programs_that_are_run_here_are_named(program, name):
    assert version_of(program) in {*VERSIONS[name]["tested"], VERSIONS[name]["newest"]}


@pytest.mark.parametrize("role", ["deployed", "newest"])
@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_the_builds_are_of_the_versions_that_are_named(name, role):
    text = (CREWS / f"{name}-{role}" / "go.mod").read_text()
    # Prometheus numbers its module v0.305.0 where the program is 3.5.0.
    major, minor, patch = VERSIONS[name][role].split(".")
    tag = (
        f"v0.{major}{int(minor):02}.{patch}" if name == "prometheus" else f"v{VERSIONS[name][role]}"
    )
    assert re.search(rf"github\.com/prometheus/{name} {re.escape(tag)}\b", text)


@pytest.mark.parametrize("name", VERSIONS)
def test_the_guide_says_what_was_tested(name):
    text = (ROOT / "deploy" / "guides" / "operator.md").read_text()
    for version in VERSIONS[name].get("tested", []):
        assert re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.]*\d)", text), f"{name} {version}"


NAMES = {"Kafka": "kafka", "Prometheus": "prometheus", "Alertmanager": "alertmanager",
         "Grafana": "grafana", "Python": "python", "torch": "torch"}  # fmt: skip


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((DEPLOY / "guides").glob("*.md"))])
def test_no_text_names_a_version_that_was_not_tested(path):
    said = re.findall(rf"\b({'|'.join(NAMES)}) v?(\d+\.[\d.]*\d)", path.read_text())
    untested = [
        f"{name} {version}"
        for name, version in said
        if not any(
            tested == version or tested.startswith(f"{version}.")
            for tested in VERSIONS[NAMES[name]]["tested"]
        )
    ]
    assert untested == []
