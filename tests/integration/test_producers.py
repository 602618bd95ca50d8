"""The programs of the guide, each built and run against a broker where its toolchain is: judged is sent."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from services import ROOT, Services, newest_manifest
from waiting import wait_until

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection

SOURCES = ROOT / "deploy" / "producers"
RECORDS = 12
SHOWERS = 4 * RECORDS * 64

# A client of kafka-python that is asked often may leave a socket to the garbage collector.
pytestmark = [
    pytest.mark.producers,
    pytest.mark.timeout(1800),  # what a toolchain fetches and builds is not ours to hurry
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A broker and a service that judges."""
    with EmbeddedBroker() as broker:
        ensure_topics(Connection(broker.bootstrap), partitions=4)
        started = Services(broker.bootstrap, tmp_path_factory.mktemp("service"))
        try:
            started.start("service", "run")
            yield started
        finally:
            started.end()


def build(*command, cwd, **variables):
    """Run a step of a build; skip where it cannot fetch what it needs."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    if done.returncode and re.search(OFFLINE, said, re.IGNORECASE):
        pytest.skip(f"{command[0]} cannot fetch what it needs: {said.strip()[-200:]}")
    assert done.returncode == 0, said[-3000:]


OFFLINE = (
    r"could not resolve|couldn't resolve|dial tcp|network|ENOTFOUND|EAI_AGAIN|"
    r"unknown host|could not transfer|failed to download"
)


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")


def need_apache():
    if not os.environ.get("KAFKA_HOME"):
        pytest.skip("Debian's librdkafka and franz-go cannot talk to the embedded broker")


@pytest.fixture
def folder(tmp_path):
    """A copy of the programs: nothing is built in the repository."""
    built = ("target", "node_modules", "build", "__pycache__")
    return shutil.copytree(SOURCES, tmp_path / "p", ignore=shutil.ignore_patterns(*built))


def python(folder):
    return [sys.executable, "python/producer.py"]


def cpp(folder):
    need("g++", "cmake", "pkg-config")
    need_apache()
    if subprocess.run(["pkg-config", "--exists", "rdkafka"], check=False).returncode:
        pytest.skip("no librdkafka-dev on this machine")
    wheel = Path(pa.__file__).parent
    build("cmake", "-S", "cpp", "-B", "cpp/build", f"-DARROW_WHEEL={wheel}", cwd=folder)
    build("cmake", "--build", "cpp/build", cwd=folder)
    return ["cpp/build/producer"]


def java(folder):
    need("java", "javac", "mvn")
    build("mvn", "-q", "-B", "-ntp", "-f", "java", "compile", cwd=folder)
    path = "java/target/classes" + os.pathsep + "java/target/lib/*"
    return ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", path, "Producer"]


def go(folder):
    need("go")
    need_apache()
    build("go", "build", "-o", "daq", ".", cwd=folder / "go")
    return ["go/daq"]


def rust(folder):
    need("cargo", "cc", "make")
    build("cargo", "build", "--quiet", cwd=folder / "rust")
    # A site that shares what cargo builds has it elsewhere.
    return [str(folder / "rust" / os.environ.get("CARGO_TARGET_DIR", "target") / "debug" / "daq")]


def javascript(folder):
    need("node", "npm")
    build("npm", "install", "--no-audit", "--no-fund", cwd=folder / "javascript")
    return ["node", "javascript/producer.mjs"]


@pytest.mark.parametrize("language", [python, cpp, java, go, rust, javascript])
def test_what_a_program_sends_is_judged(language, service, folder):
    command = language(folder)
    before = newest_manifest(service.bootstrap).totals.get("showers", 0)
    done = subprocess.run(
        [*command, service.bootstrap, str(RECORDS)],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"sent {SHOWERS} showers in {4 * RECORDS} records" in done.stdout
    wait_until(
        lambda: newest_manifest(service.bootstrap).totals.get("showers", 0) >= before + SHOWERS,
        120,
        "what was sent to be judged",
    )
    totals = newest_manifest(service.bootstrap).totals
    assert totals["showers"] == before + SHOWERS
    assert totals["missing"] == 0
    assert totals["records"] * 64 == totals["showers"], json.dumps(totals)
