"""What a case is, and how its outcome is judged."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from forks import MEGABYTES, SECONDS
from templates import RUN

# What only a command that was not refused may leave behind.
WRITTEN = ("scores.csv", "new", "mined.csv")


class Case(NamedTuple):
    """A damaged input."""

    kind: str
    name: str
    #: Damages a copy of the template in a folder; returns a call.
    make: Callable
    #: ``refused`` is exit status 2 with one sentence, and nothing written;
    #: ``row`` is exit status 1 and a reason in the row of the damaged recording,
    #: beside the other's scores; ``accepted`` is status 0.
    right: str
    #: Why it is accepted.
    because: str = ""
    #: What stderr must say.
    said: str = ""
    #: Folder of a run, which must hold what an undamaged one does.
    same_as_run: str = ""
    #: Folder of a run that must not change, but for its logs.
    keeps: str = ""

    @property
    def id(self):
        """For pytest."""
        return f"{self.kind}: {self.name}"


def state(folder):
    """Every file's bytes, but for logs."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".log", ".txt")
    }


def judge(case, folder, ended, before):
    """Say what is wrong with an outcome (str), or nothing.

    ``before`` is the `state` of the folder that it keeps.
    """
    said = ended.stderr
    if case.keeps and state(folder / case.keeps) != before:
        return "it has changed the run"
    if "Traceback (most recent" in said:
        return "a stack trace"
    if ended.status < 0:
        return f"killed by signal {-ended.status} (14 is a hang)"
    if ended.seconds > SECONDS or ended.peak_mb > MEGABYTES:
        return f"it took {ended.seconds} s and {ended.peak_mb} MB"
    wanted = {"refused": 2, "row": 1, "accepted": 0}[case.right]
    if ended.status != wanted:
        return f"exit status {ended.status}, not {wanted}"
    if case.said not in said:
        return f"it does not say {case.said!r}"
    if case.right == "refused":
        if len(re.findall(r"^(?:[\w. ]+: )?error: ", said, re.M)) != 1:
            return "not one sentence"
        left = [name for name in WRITTEN if (folder / name).exists()]
        # Only the list that the sentence refers to
        if left and "problems.csv lists all" not in said:
            return f"it leaves {left}"
    if case.right == "row":
        return _judge_rows(folder)
    if case.same_as_run and not _same(folder, case.same_as_run):
        return "the results are others"
    return None


def _judge_rows(folder):
    """The damaged recording's row has a reason, the good one's a class."""
    with open(folder / "scores.csv", newline="", encoding="utf-8") as file:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    if rows.keys() != {"bad", "good"}:
        return f"rows of {sorted(rows)}"
    if not rows["good"]["class_1"] or rows["good"]["error"]:
        return "the good recording has no class"
    reason = rows["bad"]["error"]
    if not reason or rows["bad"]["class_1"]:
        return "the damaged recording has a class"
    if re.match(r"[A-Z]\w*(Error|Exception): ", reason):
        return f"its reason is a defect's: {reason}"
    return None


def _same(folder, run):
    """Whether a run ended as the undamaged one."""
    return outcome(folder / run) == outcome(folder / RUN)


def outcome(run):
    """What two equal runs share."""
    results = json.loads((run / "results.json").read_text())
    del results["timings"], results["options"]
    tables = [(run / "predictions.csv").read_bytes()]
    return results, tables, (run / "export/learner.safetensors").read_bytes()
