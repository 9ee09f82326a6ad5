"""README.md, followed as a reader would: every command, from top to bottom.

A command is a line of a bash block, a whole Python block, or `code` in the text
that starts with python, afpt or make. They run in a copy of the repository, with
what `RULES` changes; what they left and printed is looked at.
"""

import ast
import csv
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from documents import BLOCK, ROOT, QuickReader
from sample_noise import write_recording

from afpt_plugin.cli import COMMANDS


class Rule(NamedTuple):
    """How a command of README.md is run here."""

    #: What it starts with, a regular expression; the first rule that fits.
    start: str
    #: Files, as patterns, that it has to write.
    leaves: tuple = ()
    #: A regular expression for what it has to print.
    prints: str = ""
    #: Options that are added, or whose values are replaced.
    options: dict = {}
    #: Other replacements: regular expression -> text.
    replace: dict = {}
    #: Why it is not run here; tests below look at what it needs.
    exempt: str = ""
    #: The test that runs this script in the same way.
    tested_by: str = ""


# The smallest run of a recipe.
RECIPE = {
    "--captions_per_class": "2",
    "--valid_fraction": "0.03",
    "--number_of_epochs": "1",
}
# Weights of MS-CLAP, GPUs and processors with bf16 are not here.
SPEED = {
    "--backbone": "mini",
    "--n_ctx": "2",
    "--batch_size": "2",
    "--steps": "1",
    "--n_classes": "3",
    "--classes": "3",
    "--n_clips": "2",
    "--processes": "1",
    "--device": "cpu",
    "--precision": "fp32",
    "--figure": "speed.png",
}
TUNE = ("{output}/learner.safetensors", "{output}/training/training.png")
# Nothing has been learned where there is no new checkpoint.
RUN = tuple(
    f"**/{name}"
    for name in (
        *("results.json", "predictions.csv", "per_class.png", "train_log.txt"),
        *("save/CKPT*/CKPT.yaml", "export/learner.safetensors"),
    )
)
TABLE = (
    r"zero-shot \(plain template\).*\n(zero-shot, .*\n){2}"
    r"coarse.*\nfine.*\nensemble"
)
RULES = (
    Rule(
        r"make (demo|test)\b", exempt="CI runs `make test`, and demo's recipe"
    ),
    Rule(r"python3 -m venv \.venv", exempt="downloads; `make test` does it"),
    Rule(r"\.venv/bin/python -m pip", exempt="downloads; `make test` does it"),
    Rule(r"source \.venv/bin/activate", exempt="there is no .venv here"),
    Rule(r"printf .* > names\.txt", leaves=("names.txt",)),
    Rule(
        r"afpt tune ",
        options={"--epochs": "1"},
        leaves=TUNE,
        prints=r"prompts for 4 classes, epoch 1 of 1",
    ),
    Rule(
        r"afpt classify .* --frames --figure ",
        # The first of those that a recipe laid out, at its smallest.
        replace={r"/Y\d{11}_": "/Y00000000000_"},
        leaves=("{output}", "{figure}", "*.frames.*"),
        prints=r"classifying: 100%",
    ),
    Rule(r"afpt classify ", leaves=("{output}",), prints="classifying: 100%"),
    Rule(r"afpt words ", prints=r"ctx_coarse(.*\n)+.*ctx_fine(.*\n)+.* sound "),
    Rule(
        r"afpt mine ",
        leaves=("{output}",),
        prints=r"4 captions of 5 rows in audiocaps_train\.csv",
    ),
    Rule(
        r"afpt report results",
        leaves=tuple(f"results/report.{end}" for end in ("md", "csv", "png")),
        prints=r"ESC-50(.*\n)+written: ",
    ),
    Rule(r"from afpt_plugin\.inference", prints=r"\[\[.*\]\]\ntensor\(\[.*\]"),
    Rule(
        # Up to 40 recordings of 10 s; the same options are run with US8K.
        r"python recipes/FSD2019/train\.py hparams\.yaml",
        tested_by="test_all_recipes.py",
    ),
    Rule(
        r"python recipes/\w+/train\.py hparams\.yaml --clap ms-",
        # Neither its weights nor the data set are here: mini-CLAP, the
        # samples that the demonstration laid out.
        options={
            **RECIPE,
            "--clap": "mini",
            "--data_folder": "ESC-50-master",
            "--output_folder": "ms-2022",
        },
        leaves=RUN,
        prints=TABLE,
    ),
    Rule(
        r"python recipes/\w+/train\.py hparams\.yaml",
        options=RECIPE,
        # The default; the same run is not run twice.
        replace={r" --seed 1\b": ""},
        leaves=RUN,
        prints=TABLE,
    ),
    Rule(
        r"python benchmarks/ablation\.py --settings ",
        options={**RECIPE, "--seeds": "1"},
        # Of several settings, the first; below, all names are looked at.
        replace={r"(--settings (\w+|\".+?\"))( \w+| \".+?\")+": r"\1"},
        leaves=("results/ablation/*/*/1/results.json",),
        prints=r"\| epochs \| learning \[s\] \|\n.*\n\| .* \| 1 \| \d+ \|",
    ),
    Rule(
        r"python benchmarks/development\.py ",
        # Needs gigabytes of packages; run on small ones there.
        tested_by="test_benchmarks.py",
    ),
    Rule(
        r"python benchmarks/frames\.py ",
        prints=r"\| template \| [\d.]+ % \|.*\n\| tuned \| [\d.]+ % \|",
    ),
    Rule(
        r"python benchmarks/speed\.py --what step",
        options=SPEED,
        prints=r"\| training step \| .* \|",
    ),
    Rule(
        r"python benchmarks/speed\.py --what classes",
        options=SPEED,
        leaves=("speed.png",),
        prints=r"\| 3 \| [^|]+ \| [\d.]+ .B \| [^|]+ \| [\d.]+ .B",
    ),
    Rule(
        r"python benchmarks/speed\.py --what encoding",
        options=SPEED,
        prints=r"\| 1 \| [\d.]+ \| [\d.]+ \| \d+% \|",
    ),
)


def find_commands(text):
    """All commands, in order, each once."""
    commands, end = [], 0
    for block in [*BLOCK.finditer(text), None]:
        prose = text[end : block.start() if block else None]
        found = re.findall(r"`((?:python|afpt|make) [^`]+)`", prose)
        # `afpt tune` is a name.
        commands += [c for c in found if not re.fullmatch(r"afpt \w+", c)]
        if block:
            end = block.end()
            if block["language"] == "bash":
                lines = block["text"].replace("\\\n", " ").splitlines()
                commands += [c for c in lines if c and not c.startswith("#")]
            elif block["language"] == "python":
                commands.append(block["text"])
    return list(dict.fromkeys(commands))


def rule_of(command):
    """The first rule that fits, or None."""
    return next((r for r in RULES if re.match(r.start, command)), None)


def adapt(command):
    """What is run instead, as words; Python and other programs as they are."""
    if not command.startswith(("python ", "afpt ")):
        return [command]
    rule = rule_of(command)
    for old, new in rule.replace.items():
        command = re.sub(old, new, command)
    words, kept = [], True
    for word in shlex.split(command, comments=True):
        if word.startswith("--"):
            kept = word.split("=")[0] not in rule.options
        if kept:
            words.append(word)
    return [*words, *(word for pair in rule.options.items() for word in pair)]


README = (ROOT / "README.md").read_text(encoding="utf-8")
FOUND = find_commands(README)
RUN_HERE = [
    command
    for command in FOUND
    if (rule := rule_of(command)) and not (rule.exempt or rule.tested_by)
]


class Outcome(NamedTuple):
    """What a command did."""

    status: int
    printed: str
    missing: list


class Walk(QuickReader):
    """A reader who does not start in the middle."""

    outcomes = None

    def follow(self, command):
        """Run all commands up to one, unless they have been."""
        self.outcomes = self.outcomes or {}
        for earlier in RUN_HERE[: RUN_HERE.index(command) + 1]:
            words = tuple(adapt(earlier))
            if words not in self.outcomes:
                self.outcomes[words] = self.take(earlier, words)
        return self.outcomes[tuple(adapt(command))]

    def take(self, command, words):
        """Run a command."""
        patterns = rule_of(command).leaves
        if "\n" in command:
            (self.folder / "block.py").write_text(command, encoding="utf-8")
            words = ["python", "block.py"]
        elif len(words) == 1:
            words = ["bash", "-euc", command]
        else:
            text = " ".join(words)
            # "--output x" -> {output: x}
            values = dict(re.findall(r"--(\w+)[ =](?!--)(\S+)", text))
            patterns = [pattern.format(**values) for pattern in patterns]
        before = self.stamps(patterns)
        process = self.run(*words)
        after = self.stamps(patterns)
        missing = [p for p in patterns if not after[p] - before[p]]
        printed = process.stdout + process.stderr
        return Outcome(process.returncode, printed, missing)

    def stamps(self, patterns):
        """Files of each pattern and when they were written."""
        return {
            pattern: {
                (path, path.stat().st_mtime_ns)
                for path in self.folder.glob(pattern)
            }
            for pattern in patterns
        }


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The reader, who has what README.md takes for granted."""
    folder = tmp_path_factory.mktemp("readme")
    with Walk(folder, "README.md") as reader:
        # Recordings
        (folder / "recordings").mkdir()
        for number, name in enumerate(("church bells", "rain")):
            path = folder / "recordings" / f"{name}.wav"
            write_recording(path, 3.0, 16000, number)
        write_recording(folder / "recording.wav", 3.0, 16000, 2)
        # As the demonstration lays them out before they are asked for
        samples = Path("results", "samples", "ESC50", "ESC-50-master")
        (folder / samples.name).symlink_to(samples)
        # Captions
        write_csv(
            folder / "audiocaps_train.csv",
            ("audiocap_id", "youtube_id", "start_time", "caption"),
            (
                (1, "a", 30, "A dog barking while people talk"),
                (2, "b", 0, "Rain falls on a roof"),
                (3, "c", 10, "A car horn is honking twice"),
                (4, "d", 20, "Church bells ring in the distance"),
                (5, "e", 0, "A man gives a speech"),
            ),
        )
        for name, n_classes in (
            ("esc", 50),
            ("urbansound8k", 10),
            ("dcase19", 10),
            ("fsd19", 80),
        ):
            write_csv(
                folder / f"cap_{name}.csv",
                ("", "caption", "class"),
                (
                    (row, f"caption {row} is about a sound", row % n_classes)
                    for row in range(3 * n_classes)
                ),
            )
        yield reader


def write_csv(path, header, rows):
    """Write a table."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def check_rules(commands):
    """Fail if a command has no rule."""
    for command in commands:
        assert rule_of(command), (
            f"README.md has a command that no rule covers: {command!r}. Add a "
            "Rule to RULES in tests/integration/test_readme.py: what it starts "
            "with, what it leaves and prints, and what makes it small"
        )


def test_every_command_has_a_rule():
    assert len(FOUND) > 10
    check_rules(FOUND)


def test_a_command_without_a_rule_says_what_to_do():
    text = "```bash\npython benchmarks/new.py  # now\n```\n"
    with pytest.raises(AssertionError, match="new.py.*Add a Rule to RULES"):
        check_rules(find_commands(text))


def test_commands_hide_in_no_other_block():
    for block in BLOCK.finditer(README):
        assert block["language"] in ("bash", "python", "bibtex", "text", "")
        if block["language"] not in ("bash", "python"):
            assert not re.search(r"^(python|afpt|make) ", block["text"], re.M)


@pytest.mark.parametrize(
    "command", RUN_HERE, ids=[c.split("\n")[0] for c in RUN_HERE]
)
def test_a_command_does_what_its_rule_says(walk, command):
    outcome = walk.follow(command)
    assert outcome.status == 0, outcome.printed
    assert "Traceback" not in outcome.printed
    assert not outcome.missing, outcome.printed
    assert re.search(rule_of(command).prints, outcome.printed), outcome.printed


def test_the_first_prompts_name_every_recording(walk):
    (command,) = (c for c in RUN_HERE if c.startswith("afpt classify recordi"))
    walk.follow(command)
    output = re.search(r"--output (\S+)", command)[1]
    with open(walk.folder / output, newline="", encoding="utf-8") as file:
        rows = {Path(r["file"]).stem: r for r in csv.DictReader(file)}
    assert set(rows) == {"church bells", "rain"}
    names = (walk.folder / "names.txt").read_text().splitlines()
    assert {row["class_1"] for row in rows.values()} <= set(names)


def test_subcommands_that_the_text_names_exist():
    names = re.findall(r"`?afpt (\w+)", "\n".join([*FOUND, README]))
    assert names and set(names) <= set(COMMANDS)


def test_settings_of_the_ablation_exist():
    tree = ast.parse((ROOT / "benchmarks" / "ablation.py").read_text())
    (settings,) = (
        node.value.keys
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "SETTINGS"
    )
    known = {key.value for key in settings}
    for command in FOUND:
        for given in re.findall(r"--settings( (?!--).+?)(?: --|$)", command):
            assert set(shlex.split(given)) <= known, command


def test_make_has_the_targets_and_does_what_is_said_to_do_by_hand():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = [c.split()[1] for c in FOUND if c.startswith("make ")]
    assert {"demo", "test"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.M), target
    for old, new in (
        ("$(PYTHON)", "python3"),
        ("$(BIN)", ".venv/bin"),
        ("$(VENV)", ".venv"),
        (" --quiet", ""),
    ):
        makefile = makefile.replace(old, new)
    by_hand = [c for c in FOUND if re.match(r"python3 -m venv|\.venv/", c)]
    assert len(by_hand) == 2
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    for command in by_hand:
        for extra in re.findall(r"\.\[(\w+)\]", command):
            assert f'"{extra}": [' in setup
        assert re.sub(r"\.\[\w+\]", ".[$*]", command) in makefile


def test_commands_of_other_tests_are_run_there():
    others = [c for c in FOUND if (r := rule_of(c)) and r.tested_by]
    for command in others:
        test = ROOT / "tests" / "integration" / rule_of(command).tested_by
        name = re.match(r"python recipes/(\w+)/train\.py", command)[1]
        hparams = ROOT / "recipes" / name / "hparams.yaml"
        elsewhere = r"^TESTED_ELSEWHERE = (.+)$"
        assert name not in re.search(elsewhere, test.read_text(), re.M)[1]
        assert (ROOT / "tests" / "recipes" / f"{name}.csv").exists()
        for option in re.findall(r"--(\w+)", command):
            known = re.search(rf"^{option}: ", hparams.read_text(), re.M)
            assert known, option


def test_files_that_the_text_names_exist():
    prose = BLOCK.sub("", README)
    paths = re.findall(r"\]\((?!https?:)([^)#]+)\)", prose)
    paths += re.findall(
        r"`((?:recipes|tests|benchmarks|docs|afpt_plugin)/[\w./]+)`", prose
    )
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
