"""What tests of documents share: their commands, and a reader who runs them.

A command is a line of a bash block, a whole Python program, or `code` in the
text that starts with python, afpt or make. `RULES` say how each is run here.
"""

import faulthandler
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TIMEOUT = 120

# A block, and the file that it is, if a line before it says so.
BLOCK = re.compile(
    r"(?:^`(?P<path>[\w./]+)`:\n\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Rule(NamedTuple):
    """How a command is run here."""

    #: What it starts with, a regular expression; the first rule that fits.
    start: str
    #: A regular expression for what it has to print.
    prints: str = ""
    #: Files, as patterns, that it has to write; {option} is an option's value.
    leaves: tuple = ()
    #: Options that are added, or whose values are replaced, as --option=value.
    options: str = ""
    #: Other replacements: regular expression -> text.
    replace: dict = {}
    #: Whether it takes more than ten seconds.
    slow: bool = False
    #: Why it is not run here.
    skip: str = ""


slow = partial(Rule, slow=True)
# The smallest run of a recipe.
SMALL = (
    "--captions_per_class=1 --valid_fraction=0.03 --number_of_epochs=1 "
    "--device=cpu"
)
# Nothing has been learned where there is no new checkpoint.
RUN = tuple(
    f"**/{name}"
    for name in (
        *("results.json", "predictions.csv", "per_class.png", "train_log.txt"),
        *("save/CKPT*/CKPT.yaml", "export/learner.safetensors"),
    )
)
TABLE = r"(?m)^zero-shot\b.*\n(.*\n)*ensemble "
TUNE = ("{output}/learner.safetensors", "{output}/training/training.png")
# Full-size backbones, GPUs and processors with bfloat16 are not here.
SPEED = (
    "--backbone=mini --n_ctx=2 --batch_size=2 --steps=1 --n_classes=3 "
    "--classes=3 --n_clips=2 --processes=1 --device=cpu --precision=fp32 "
    "--seeds=1 --epochs=1 --figure=speed.png"
)
SKIPPED = {
    r"python docs/write_pages\.py": "test_docs.py compares what it writes",
    r"make \S+": "CI runs `make test`, and demo's recipe",
    r"python3 -m venv|\.venv/|source ": "`make test` does it",
    r"(python -m pip|pip) install": "`make test` does it",
    r"afpt demo ": "serves until stopped, see test_afpt_demo.py",
    r"afpt push ": "needs the hub; test_push.py has one",
    r"afpt report results/(few_shot|settings)": "its runs take hours",
    # test_benchmarks.py has small ones
    r"python benchmarks/(development|(shots_)?(calibration|rejection))\.py ": (
        "needs gigabytes of packages"
    ),
}
RULES = (
    *(Rule(start, skip=why) for start, why in SKIPPED.items()),
    Rule(r"cd |cp |mkdir |printf |rm |ruff |sed |touch |\w+=|python -c "),
    Rule(r"(for .* do|done|    \S.*)$|(import|from) \w+"),
    slow(r"python -m pytest ", r"\b(passed|skipped)\b"),
    Rule(
        r"afpt tune .*--method auto",
        r"tip_adapter from labeled recordings was chosen: highest acc in 2-fold",
        TUNE[:1],
        "--candidates=tip_adapter",
    ),
    Rule(r"afpt tune ", r"epoch 1 of 1", TUNE, "--epochs=1"),
    slow(
        r"afpt classify afpt_plugin/assets/",
        leaves=("{output}", "{figure}"),
        replace={r"\w+\.ogg": "noise_0.flac"},
    ),
    slow(r"afpt classify .*results/samples/", leaves=("{output}",)),
    Rule(r"afpt classify ", leaves=("{output}",)),
    Rule(
        r"afpt evaluate ",
        r"Tuning changes acc by [+-][\d.]+ points",
        ("{output}/evaluation.json", "{output}/reliability.png"),
    ),
    Rule(r"afpt words ", r"ctx_coarse(.*\n)+.*ctx_fine(.*\n)+.* sound "),
    Rule(r"afpt mine ", r"4 captions of 5 rows", ("{output}",)),
    Rule(
        r"afpt sweep ",
        r"recipes/ESC50/train\.py",
        # Hours of runs; test_sweep.py runs some.
        replace={r"(afpt sweep \S+).*": r"\1 --dry-run"},
    ),
    slow(
        r"afpt report results",
        leaves=tuple(f"results/report.{end}" for end in ("md", "csv", "png")),
    ),
    # A new recipe is run once in the fast tests, too.
    Rule(r"python recipes/GTZAN/train\.py hparams\.yaml$", TABLE, RUN, SMALL),
    slow(
        r"python recipes/\w+/train\.py .*--clap ms-",
        TABLE,
        tuple(f"ms-2022/{name[3:]}" for name in RUN),
        # mini-CLAP on the samples that the demonstration laid out.
        f"{SMALL} --clap=mini --output_folder=ms-2022",
        {r"recipes/(\w+)(.*) /path/to/\S+": r"recipes/\1\2 samples"},
    ),
    slow(
        r"python recipes/\w+/train\.py (zero_shot|caption_mean)\.yaml",
        leaves=RUN[:2],
        options="--device=cpu",
    ),
    slow(
        r"python recipes/OwnData/train\.py ",
        *(TABLE, RUN, "--number_of_epochs=1 --device=cpu"),
        # Its recordings are the package's.
        {r" (recipes/OwnData/example\.csv)": rf" {ROOT}/\1"},
    ),
    slow(
        r"python recipes/\w+/train\.py [\w/]+\.yaml",
        *(TABLE, RUN, SMALL),
        # The default; the same run is not run twice.
        {r" --seed 1\b": ""},
    ),
    slow(
        r"python benchmarks/adapt\.py ",
        r"\| tip_adapter \|",
        options="--methods=tip_adapter --n_recordings=20",
    ),
    slow(
        r"python benchmarks/classify\.py ",
        r"\| afpt classify, mini \| [\d.]+",
        options="--backbones=mini --n_clips=2 --n_classes=3",
    ),
    slow(r"python benchmarks/frames\.py ", r"\| tuned \|"),
    slow(
        r"python benchmarks/speed\.py --what seeds",
        r"\| [\d.]+ m?s",
        options=SPEED.replace("--batch_size=2", "--batch_size=96"),
    ),
    slow(
        r"python benchmarks/speed\.py --what \w+", r"\| [\d.]+", options=SPEED
    ),
)


def rule_of(line):
    """The first rule that fits, or None."""
    return next((r for r in RULES if re.match(r.start, line)), None)


def adapt(line):
    """The command line that is run instead of one."""
    rule = rule_of(line)
    if not rule or rule.skip:
        return ""
    for old, new in rule.replace.items():
        line = re.sub(old, new, line)
    if not rule.options:
        return line
    words, kept, given = [], True, rule.options.split()
    for word in shlex.split(line, comments=True):
        if word.startswith("--"):
            kept = word.split("=")[0] not in {x.split("=")[0] for x in given}
        if kept:
            words.append(word)
    return shlex.join([*words, *given])


class Step(NamedTuple):
    """Commands that are run together, and what the document says of them."""

    lines: tuple
    #: The exit status, and the message that is shown.
    status: int = 0
    message: str = ""

    @property
    def slow(self):
        """Whether one of the commands is slow."""
        return any(r.slow for r in map(rule_of, self.lines) if r)

    @property
    def runs(self):
        """Whether any of the commands is run here."""
        return any(map(adapt, self.lines))


def read_documents(*documents):
    """Their texts, one after the other."""
    paths = [ROOT / document for document in documents]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def find_steps(text):
    """All steps of a document, in order, each once.

    A bash block is one step for each line, if the lines do without a shell.
    """
    steps, blocks = [], list(BLOCK.finditer(text))
    ends = [0, *(block.end() for block in blocks)]
    starts = [*(block.start() for block in blocks), None]
    prose = [text[a:b] for a, b in zip(ends, starts, strict=True)]
    for index, between in enumerate(prose):
        for line in re.findall(r"`((?:python|afpt|make) [^`]+)`", between):
            # `afpt classify --frames` is a name.
            if not re.fullmatch(r"(afpt|python) [\w.]+( --\w+)*", line):
                steps.append(Step((line,)))
        if index == len(blocks) or blocks[index]["path"]:
            continue
        language, body = blocks[index].group("language", "text")
        if language == "bash":
            lines = body.replace("\\\n", " ").splitlines()
            lines = [line for line in lines if line and line[0] != "#"]
            # What a shell has to remember makes them one step.
            alone = not any(re.match(r"cd |for |\w+=", x) for x in lines)
            parts = [[line] for line in lines] if alone else [lines]
            steps += [Step(tuple(part)) for part in parts]
            # "The run ends with exit status 2 and this message:"
            status = re.search(r"exit status (\d)", prose[index + 1])
            if status:
                shown = blocks[index + 1]["text"]
                steps[-1] = Step(steps[-1].lines, int(status[1]), shown)
        elif language == "python" and re.match(r"(import|from) \w", body):
            if "\n\n" in body:  # a program, not a line to add to one
                steps.append(Step((body,)))
    return list(dict.fromkeys(steps))


class QuickReader:
    """Somebody who follows documents in a copy of the repository.

    The sample recordings of the copy are twenty of noise. One process imports
    what others have written and is forked for every command of ours, which
    imports from the copy what the repository itself holds.
    """

    def __init__(self, folder, *documents):
        self.folder = folder
        self.text = read_documents(*documents)
        self.blocks = list(BLOCK.finditer(self.text))
        self.steps = find_steps(self.text)
        self.outcomes = {}
        for name in ("afpt_plugin", "benchmarks", "recipes", "tests"):
            # The package has a folder `results`, too.
            results = "results" if name == "recipes" else "recordings"
            ignored = shutil.ignore_patterns(
                "__pycache__", "recordings", "samples", results
            )
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        for name in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / name, folder / name)
        # Not at the top: this file is a script, too.
        from sample_noise import write_recordings

        write_recordings(folder / "afpt_plugin" / "assets" / "recordings", 20)
        # Commands find this Python, and an `afpt` that is this copy's.
        binaries = folder / "bin"
        binaries.mkdir()
        for name, module in (("python", ""), ("afpt", "-m afpt_plugin.cli ")):
            program = binaries / name
            program.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" {module}"$@"\n'
            )
            program.chmod(0o755)
        path = (binaries, Path(sys.executable).parent, os.environ["PATH"])
        self.environment = {
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "PATH": os.pathsep.join(map(str, path)),
            "PYTHONPATH": str(folder),
            # A GPU's driver does not live on in a fork.
            "CUDA_VISIBLE_DEVICES": "",
        }

    def __enter__(self):
        self.forks = subprocess.Popen(
            [sys.executable, __file__],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *error):
        self.forks.communicate()

    def write_files(self):
        """Every block that the document names a file for."""
        for block in self.blocks:
            if block["path"]:
                path = self.folder / block["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block["text"], encoding="utf-8")

    def find(self, language, part):
        """The text of the one unnamed block of a language that has a part."""
        (text,) = (
            block["text"]
            for block in self.blocks
            if block.group("path", "language") == (None, language)
            and part in block["text"]
        )
        return text

    def results(self, *parts):
        """What a run has written into `results.json`."""
        path = self.folder.joinpath("results", *parts, "results.json")
        return json.loads(path.read_text(encoding="utf-8"))

    def run(self, *command):
        """Run a command line in the copy; stdout and stderr are one."""
        printed = self.folder / "printed.txt"
        if command[0] in ("python", "afpt") and command[1] not in ("-m", "-c"):
            self.forks.stdin.write(json.dumps([command, str(printed)]) + "\n")
            self.forks.stdin.flush()
            status = int(self.forks.stdout.readline())
        else:
            with open(printed, "w") as output:
                status = subprocess.run(
                    command,
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=2 * TIMEOUT,
                ).returncode
        text = printed.read_text(encoding="utf-8")
        return subprocess.CompletedProcess(command, status, text, "")

    def follow(self, step):
        """Run all steps up to one, unless they have been; check that one.

        Slow steps come before slow ones alone.
        """
        for earlier in self.steps[: self.steps.index(step) + 1]:
            key = tuple(map(adapt, earlier.lines))
            if (step.slow or not earlier.slow) and key not in self.outcomes:
                self.outcomes[key] = self._take(earlier, key)
        process, missing = self.outcomes[tuple(map(adapt, step.lines))]
        printed = process.stdout
        assert process.returncode == step.status, printed
        assert "Traceback" not in printed, printed
        assert not missing, f"{printed}\nnot written: {missing}"
        rules = map(rule_of, step.lines if step.status == 0 else ())
        for rule in rules:
            assert re.search(rule.prints, printed), (rule.prints, printed)
        # The document leaves out what it writes as three dots.
        shown = re.escape(step.message.strip()).replace(r"\.\.\.", ".*")
        assert re.search(shown, printed), printed
        return process

    def _take(self, step, lines):
        """Run a step; also tell which files it did not write."""
        patterns = set()
        for written, line in zip(step.lines, lines, strict=True):
            # "--output x" -> {output: x}
            values = dict(re.findall(r"--(\w+)[ =](?!--)(\S+)", line))
            for pattern in rule_of(written).leaves:
                patterns.add(pattern.format(**values))
        start = time.time_ns() - 10**7  # file systems' clocks are coarse
        if "\n" in step.lines[0]:
            (self.folder / "block.py").write_text(step.lines[0])
            process = self.run("python", "block.py")
        elif len(lines) == 1 and lines[0].startswith(("python ", "afpt ")):
            process = self.run(*shlex.split(lines[0], comments=True))
        else:
            process = self.run("bash", "-euc", "\n".join(lines))
        missing = [
            pattern
            for pattern in patterns
            if all(
                path.stat().st_mtime_ns < start
                for path in self.folder.glob(pattern)
            )
        ]
        return process, missing if step.status == 0 else []


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
    # A command that hangs prints where, and ends.
    faulthandler.dump_traceback_later(TIMEOUT, exit=True)
    name, *sys.argv = command
    if name == "afpt":
        sys.argv.insert(0, name)
        runpy.run_module("afpt_plugin.cli", run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(sys.argv[0])
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    serve_forks()
