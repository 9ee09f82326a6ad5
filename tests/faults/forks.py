"""Run functions in processes of their own, at the price of a fork.

A child of pytest imports everything once, loads the packaged CLAP, and then
forks for each call: 20 ms in the place of 6 s. What runs there may be killed,
may hang or take all memory without harm.
"""

import atexit
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 10, 2048
# A call that takes longer hangs, however busy the machine is.
LONGEST = 120


class Ended(NamedTuple):
    """How a call has ended."""

    status: int  # as a shell tells it: -signal if it was killed
    seconds: float  # of a processor, which a busy machine does not change
    peak_mb: int
    stderr: str


class Forks:
    """The child that forks; a context manager."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env={
                **os.environ,
                "HF_HUB_OFFLINE": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(ROOT),
            },
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def run(self, folder, name, *args, **hooks):
        """Call ``name(*args)``, which stands in this module, in a folder."""
        job = json.dumps([str(folder), name, args, hooks])
        self.process.stdin.write(job + "\n")
        self.process.stdin.flush()
        return Ended(*json.loads(self.process.stdout.readline()))


def afpt(*arguments):
    """The command line."""
    from afpt_plugin.cli import main

    return main(list(arguments))


def recipe(name, *arguments):
    """A recipe's ``train.py``."""
    from afpt_plugin.errors import exit_on_input_error

    sys.path.insert(0, str(ROOT / "recipes" / name))
    train = importlib.import_module("train")
    with exit_on_input_error():
        train.run(list(arguments))


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")


def watch_files(log, kill_at=None):
    """Write down what is about to change a file here; die before one of it."""
    here, count = os.getcwd() + os.sep, 0
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def hook(event, args):
        nonlocal count
        changes = event in CHANGING or (
            event == "open" and args[2] is not None and args[2] & WRITING
        )
        if not changes or not isinstance(args[0], (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(args[0]))
        if path.startswith(here):
            count += 1
            os.write(log, f"{event} {path.removeprefix(here)}\n".encode())
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _call(folder, name, args, hooks):
    """In the child: never returns."""
    status = 1
    try:
        os.chdir(folder)
        sink = os.open("stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(sink, stream)
        # Address space: what is mapped already, and what may be added
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEGABYTES * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LONGEST)
        if hooks:
            watch_files(**hooks)
        status = globals()[name](*args) or 0
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)


def serve():
    """Fork for each line on stdin, and tell on stdout how it ended."""

    from afpt_plugin.backbones import load_clap

    load_clap("mini")  # imports, and the file in the page cache
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        folder, name, args, hooks = json.loads(line)
        pid = os.fork()
        if not pid:
            _call(folder, name, args, hooks)
        _, status, used = os.wait4(pid, 0)
        text = Path(folder, "stderr.txt").read_text(errors="replace")
        ended = (
            os.waitstatus_to_exitcode(status),
            round(used.ru_utime + used.ru_stime, 2),
            used.ru_maxrss // 1024,
            text,
        )
        answers.write(json.dumps(ended) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.modules["forks"] = sys.modules["__main__"]
    serve()
