"""Run a command as a user does, and show everything if it goes wrong."""

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TIMEOUT = 120


def run(*command, cwd=ROOT, status=0, timeout=TIMEOUT, **environment):
    """Run a command to its end; fail unless its status is the expected one.

    Arguments
    ---------
    *command : str
        The program and its arguments.
    cwd : str or pathlib.Path
        Where to run it.
    status : int
        The expected exit status.
    timeout : float
        Seconds; after them every Python process of the command prints where
        it stands, and the test fails.
    **environment : str
        Beside the test's own environment, without a network.

    Returns
    -------
    subprocess.CompletedProcess
        With ``stdout`` and ``stderr`` as text.
    """
    # Files and not pipes: a process that outlives its parent, as a worker of
    # torchrun can, would keep a pipe open and its reader waiting.
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "PYTHONFAULTHANDLER": "1",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        ) as process,
    ):
        ending = f"still running after {timeout} s"
        try:
            ending = f"exit status {process.wait(timeout)}, not {status}"
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                _abort(process)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if process.returncode != status:
        line = " ".join(process.args)
        pytest.fail(
            f"{line}\n{ending}\n-- stdout\n{texts[0]}\n-- stderr\n{texts[1]}",
            pytrace=False,
        )
    return subprocess.CompletedProcess(process.args, status, *texts)


def _abort(process):
    """End a process and its descendants; Python's fault handler speaks."""
    family = _family(process.pid)
    for ending in (signal.SIGABRT, signal.SIGKILL):
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _family(pid):
    """Identifiers of a process and its descendants, where /proc lists them."""
    family = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            family += _family(int(child))
    return family
