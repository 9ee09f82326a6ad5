"""What tests of documents share: blocks of code, and a reader who runs them."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

# A block, and the file that it is, if a line before it says so.
BLOCK = re.compile(
    r"(?:^`(?P<path>[\w./]+)`:\n\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A code block of a document."""

    path: str
    language: str
    text: str


def blocks_of(document):
    """All blocks, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [Block(**match.groupdict()) for match in BLOCK.finditer(text)]


class Reader:
    """Somebody who follows a document in a copy of the repository.

    The sample recordings of the copy are twenty of noise.
    """

    def __init__(self, folder, document):
        self.folder = folder
        self.blocks = blocks_of(document)
        for name in ("afpt_plugin", "benchmarks", "recipes", "tests/recipes"):
            # The package has a folder of that name, too.
            results = "results" if name == "recipes" else "recordings"
            shutil.copytree(
                ROOT / name,
                folder / name,
                ignore=shutil.ignore_patterns(
                    "__pycache__", "recordings", results
                ),
            )
        # Not at the top: this file is a script, too.
        from sample_noise import write_recordings

        write_recordings(folder / "afpt_plugin" / "assets" / "recordings", 20)
        # Commands find this Python, and an `afpt` that is this copy's.
        binaries = folder / "bin"
        binaries.mkdir()
        for name, module in (("python", ""), ("afpt", "-m afpt_plugin.cli ")):
            command = binaries / name
            command.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n'
            )
            command.chmod(0o755)
        (folder / "tests" / "unittests").mkdir()
        for name in (
            "conftest.py",
            "pyproject.toml",
            "tests/unittests/conftest.py",
        ):
            shutil.copy(ROOT / name, folder / name)
        path = (binaries, Path(sys.executable).parent, os.environ["PATH"])
        self.environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PATH": os.pathsep.join(map(str, path)),
            "PYTHONPATH": str(folder),
        }

    def write_files(self):
        """Every block that the document names a file for."""
        for block in self.blocks:
            if block.path:
                path = self.folder / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")

    def find(self, language, part):
        """The text of the one unnamed block of a language that has a part."""
        (block,) = (
            block
            for block in self.blocks
            if not block.path
            and block.language == language
            and part in block.text
        )
        return block.text

    def run(self, *command):
        """Run a command line in the copy."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def do(self, part, **replacements):
        """Run the bash block that has a part, and expect it to work."""
        text = self.find("bash", part)
        for old, new in replacements.items():
            text = text.replace(old, new)
        process = self.run("bash", "-euc", text)
        assert process.returncode == 0, process.stdout + process.stderr
        return process

    def results(self, *parts):
        """What a run has written into `results.json`."""
        path = self.folder.joinpath("results", *parts, "results.json")
        return json.loads(path.read_text(encoding="utf-8"))


class QuickReader(Reader):
    """A reader of many commands, who does not wait for imports each time.

    One process imports what others have written and is forked for every
    command. What the repository itself holds is imported from the copy by each.
    """

    def __enter__(self):
        """Start the process."""
        self.forks = subprocess.Popen(
            [sys.executable, __file__],
            cwd=self.folder,
            # No GPU: its driver does not live on in a fork.
            env={**self.environment, "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error):
        """End the process."""
        self.forks.communicate()

    def run(self, *command):
        """Run a command line in the copy; stdout and stderr are one."""
        if command[0] not in ("python", "afpt") or command[1] == "-m":
            return super().run(*command)
        printed = self.folder / "printed.txt"
        self.forks.stdin.write(json.dumps([command, str(printed)]) + "\n")
        self.forks.stdin.flush()
        status = int(self.forks.stdout.readline())
        text = printed.read_text(encoding="utf-8")
        return subprocess.CompletedProcess(command, status, text, "")


def serve_forks():
    """Run the command lines that are read from stdin, and print statuses."""
    import matplotlib.figure  # noqa: F401
    import pandas  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import speechbrain.inference.interfaces  # noqa: F401
    from transformers import BertModel, BertTokenizerFast  # noqa: F401

    for line in sys.stdin:
        command, printed = json.loads(line)
        child = os.fork()
        if child == 0:
            break
        status = os.waitpid(child, 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        return
    with open(printed, "w") as output, open(os.devnull) as nothing:
        for file, number in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(file.fileno(), number)
    signal.alarm(600)
    name, *sys.argv = command
    if name == "afpt":
        sys.argv.insert(0, name)
        runpy.run_module("afpt_plugin.cli", run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(sys.argv[0])
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    serve_forks()
