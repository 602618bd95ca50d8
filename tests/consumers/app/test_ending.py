"""A process that is told to stop has stopped soon: where it hangs, and as the first of a container."""

import signal
import subprocess
import sys

import psutil
import pytest

HANGS = """
import sys, threading, time
from consumers.app import ending
ending.LAST_S = 0.5
stopping = threading.Event()
ending.stop_on_signals(stopping)
print("up", flush=True)
while True:  # in pieces: a signal that comes just before a sleep is heard after it
    time.sleep(0.1)
"""
FIRST = """
import time
from consumers.app import ending
ending.heed_the_end()
print("up", flush=True)
while True:
    time.sleep(0.1)
"""


def started(*prefix, program):
    child = subprocess.Popen([*prefix, sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"up\n"
    return child


def test_what_hangs_ends_where_it_stands():
    child = started(program=HANGS)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0
    child.stdout.close()


def test_the_first_process_of_a_container_hears_sigterm():
    unshare = ("unshare", "--pid", "--fork", "--kill-child")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces may be made here")
    child = started(*unshare, program=FIRST)
    (inner,) = psutil.Process(child.pid).children()
    inner.send_signal(signal.SIGTERM)
    assert child.wait(30) == 128 + signal.SIGTERM
    child.stdout.close()


def test_every_command_hears_sigterm_before_it_loads_anything_heavy():
    asked = "import sys; from consumers.cli import command; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
