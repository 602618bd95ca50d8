"""Started as in a container: an unprivileged user without a home, PID 1, nothing to write on but /tmp."""

import os
import re
import shutil
import subprocess
import sys
import time

import psutil
import requests
from deployed import DEPLOY

ROOT = DEPLOY.parent
USER = "65532"
CAN = os.geteuid() == 0 and shutil.which("unshare") and shutil.which("setpriv")

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SHUT_IN = """
set -e
mount --make-rprivate /
mount --rbind "$1" /mnt
mount --rbind "$2" /srv
mount --rbind "$3" /opt
if [ -n "$4" ]; then
    mount -t tmpfs -o mode=755 tmpfs /media
    cp -a /etc/. /media/
    mkdir -p "/media/$(dirname "$5")"
    cp -r "$4" "/media/$5"
    chmod -R a+rX "/media/$(dirname "$5")"
    mount --bind /media /etc
    mount -o remount,bind,ro /etc
fi
mount -t tmpfs tmpfs /tmp
for folder in / /mnt /srv /opt; do mount -o remount,bind,ro "$folder"; done
cd /mnt
shift 5
exec setpriv --reuid USER --regid USER --clear-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -i "$@"
""".replace("USER", USER)


def environment_of_the_image():
    text = (DEPLOY / "Containerfile").read_text()
    assert f"USER {USER}:{USER}" in text
    (line,) = re.findall(r"^ENV (.+)$", text, re.MULTILINE)
    packages = {"PYTHONPATH": f"/srv/lib/{PYTHON}/site-packages", "LD_LIBRARY_PATH": "/opt/lib"}
    return dict(pair.split("=", 1) for pair in line.split()) | {"PATH": "/usr/bin:/bin"} | packages


def started(command, environment, *, shown=("", "")):
    """Start a command of calodqm as a container would; return its process.

    Parameters
    ----------
    environment
        What a file of ours says, beside that of the image.
    shown
        A folder, and where in /etc it is mounted, to read.
    """
    shut_in = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    said = environment_of_the_image() | environment
    return subprocess.Popen(
        [
            *shut_in,
            "sh",
            "-c",
            SHUT_IN,
            "sh",
            str(ROOT),
            sys.prefix,
            sys.base_prefix,
            *map(str, shown),
        ]
        + [f"{key}={value}" for key, value in said.items()]
        + [f"/opt/bin/{PYTHON}", "-m", "consumers", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def first_process(process):
    """Return the process that is PID 1 inside."""
    (inside,) = psutil.Process(process.pid).children()
    return inside


def until(what, seconds, process):
    """Wait until `what()` is true; the words of a process that ended meanwhile are the failure."""
    deadline = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def answers(port, path):
    try:
        return requests.get(f"http://127.0.0.1:{port}{path}", timeout=2).status_code == 200
    except requests.RequestException:
        return False


def judged(port):
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    found = re.search(
        r"^calodqm_showers_judged_total(?:\{[^}]*\})? ([\d.e+]+)$", text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def ended(name, process):
    """Assert that a process that is told to ends well within ten seconds, also as PID 1."""
    began = time.monotonic()
    first_process(process).terminate()  # what PID 1 does not ask for it does not hear
    assert process.wait(20) == 0, process.stdout.read()
    assert time.monotonic() - began < 10, name


def swept(processes):
    """End what is left of processes, whatever state they are in."""
    for process in processes:
        process.kill()
        process.stdout.close()
        process.wait()
