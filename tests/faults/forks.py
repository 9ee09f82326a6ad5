"""Run functions in processes of their own, at the price of a fork.

A child of pytest imports everything once, loads the packaged CLAP, and then
forks for each call: 20 ms in the place of 6 s. What runs there may be killed,
may hang or take all memory without harm.
"""

import atexit
import gc
import hashlib
import importlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from hub import addresses  # noqa: E402

SECONDS, MEGABYTES = 10, 2048
# What commands import where they need it.
HEAVY = (
    *("matplotlib.backends.backend_agg", "matplotlib.figure", "pandas"),
    *("sklearn.metrics", "torch._dynamo", "afpt_plugin.adaptation"),
    *("afpt_plugin.commands.classify", "afpt_plugin.results.compare"),
)
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


def push(url, *arguments):
    """`afpt push` to a hub on this machine."""
    from huggingface_hub import constants, file_download

    for module in (constants, file_download):
        for name, value in addresses(url).items():
            setattr(module, name, value)
    constants.HF_HUB_OFFLINE = False
    os.environ |= {"HF_TOKEN": "secret", "NO_PROXY": "127.0.0.1"}
    return afpt("push", *arguments)


# What no command reads
LOGS = ("log.txt", "env.log", "stderr.txt", "operations.txt")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link")


def watch_files(log, kill_at=None):
    """Write down what is about to change a file here; die before one of it.

    A line has a hash of what a kill would leave, the operation, and the file.
    ``kill_at`` is the number of the operation, or a pattern of the last two.
    """
    here, count = os.getcwd() + os.sep, 0
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def hook(event, args):
        nonlocal count
        changes = event in CHANGING or (
            event == "open" and args[2] is not None and args[2] & WRITING
        )
        path = here if event == "socket.connect" else ""
        if changes and isinstance(args[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(args[0]))
        if path.startswith(here):
            count += 1
            known = "" if kill_at else _state(here)
            # What a hub holds is not seen here.
            known = str(count) if path == here else known
            line = f"{known} {event} {path.removeprefix(here)}\n"
            os.write(log, line.encode())
            if count == kill_at or (
                isinstance(kill_at, str) and re.search(kill_at, line)
            ):
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def _state(folder):
    """A hash of all that a command may find in a folder."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        is_file = path.is_file() and path.name not in LOGS
        found = path.lstat()
        known = str(path), found.st_mode, is_file and found.st_mtime_ns
        digest.update(repr(known).encode())
        digest.update(path.read_bytes() if is_file else b"")
    return digest.hexdigest()[:16]


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
            tempfile.tempdir = str(folder)
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
    for name in HEAVY:
        importlib.import_module(name)
    from speechbrain.utils import logger

    from afpt_plugin.backbones import mini_clap

    load, packaged = mini_clap.load_mini_clap, mini_clap.load_mini_clap()
    mini_clap.load_mini_clap = lambda file=None: (
        load(file) if file else packaged
    )
    # `pip freeze` of a process that imports nothing more
    found = logger.get_environment_description()
    logger.get_environment_description = lambda: found
    gc.freeze()  # else each fork's collector copies all of it
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
