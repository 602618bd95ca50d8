"""The broker to try things with: a command of its own, gone when it is told to end."""

import signal
import socket
import subprocess
import sys

from services import ROOT

from consumers.app.embedded import free_port, taken
from consumers.cli.command import main
from consumers.kafka.admin import ensure_topics
from consumers.kafka.connection import Connection


def test_a_broker_answers_until_it_is_told_to_end():
    port = free_port()
    words = [sys.executable, "-m", "consumers", "broker", "--port", str(port)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert f" on 127.0.0.1:{port}, until Ctrl-C" in child.stdout.readline()
            assert ensure_topics(Connection(f"127.0.0.1:{port}"), partitions=2)
        finally:
            child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0
    assert not taken(port)


def test_where_there_is_one_already_it_says_so(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["broker", "--port", str(other.getsockname()[1])]) == 2
    assert "listens" in capsys.readouterr().err
