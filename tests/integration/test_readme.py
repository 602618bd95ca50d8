"""What the README tells a reader to type."""

import re
import subprocess
import sys
from pathlib import Path

from kafka import KafkaConsumer

from consumers.app.embedded import EmbeddedBroker
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection
from consumers.wire import codec, topics
from models.detector import files

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language):
    """Return the first block of a language."""
    return re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[1]


def test_every_target_of_make_in_the_readme_is_one():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE):
        assert target in targets, target


def test_what_a_command_of_the_readme_reads_is_there():
    for name in re.findall(r"\b(?:models|monitor|deploy|tests)/[\w./-]*\w", README):
        assert (ROOT / name).exists(), name


def test_the_producer_of_the_readme_sends_what_is_taken(tmp_path):
    with EmbeddedBroker() as broker:
        ensure_topics(Connection(broker.bootstrap), partitions=1, replication=1)
        code = block("python").replace("127.0.0.1:9092", broker.bootstrap)
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        consumer = KafkaConsumer(
            topics.SHOWERS,
            bootstrap_servers=broker.bootstrap,
            auto_offset_reset="earliest",
            consumer_timeout_ms=10_000,
        )
        record = next(consumer)
        consumer.close()
    taken = codec.decode(record.value, files.load(files.SHIPPED / "pb-lar-504.json"))
    assert taken.showers.n == 500
    assert taken.producer == "my-daq"
