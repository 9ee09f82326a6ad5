"""SIGKILL before every operation on a file, then the same command again.

What is left is what an unbroken run leaves, byte for byte, and nothing else.
"""

import functools
import json
import re
import shutil

import pytest
from templates import CLASSIFY, RECIPE, RUN, TUNE, write_inputs

from afpt_plugin.folders import locked

CALLS = {
    "recipe": ("recipe", "OwnData", *RECIPE),
    "tune": ("afpt", *TUNE, "mine"),
    "classify": ("afpt", "classify", "recordings", "--windows", *CLASSIFY),
}
FOLDERS = {"recipe": RUN, "tune": "mine", "classify": "."}
#: Of the operations on files, those that `make test` kills before.
SHARES = {"classify": [0.4, 0.9]}
# What tells the time, or how often a run was started; and what a copy of the
# embeddings is called.
UNLIKE = re.compile(
    r"log\.txt|env\.log|train_log\.txt|stderr\.txt|operations\.txt|"
    r"store\.json|recordings\.json|features/.*|.*save/CKPT.*"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The one folder where all runs happen, since some files hold its name."""
    return tmp_path_factory.mktemp("kills") / "here"


@pytest.fixture(scope="module")
def inputs(template, tmp_path_factory):
    """What a command starts from."""
    folder = tmp_path_factory.mktemp("inputs") / "inputs"
    folder.mkdir()
    write_inputs(folder)
    shutil.copytree(template / "export", folder / "export")
    return folder


def start(place, inputs, forks, name, **hooks):
    """Run a command on fresh inputs."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(inputs, place)
    return again(place, forks, name, **hooks)


def again(place, forks, name, **hooks):
    log = str(place / "operations.txt")
    return forks.run(place, *CALLS[name], log=log, **hooks)


def left(place):
    """Every file's bytes, but those that tell the time."""
    found = {}
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if (
            path.is_dir()
            or UNLIKE.fullmatch(name)
            or UNLIKE.fullmatch(path.name)
        ):
            if "part" in path.name:
                found[name] = "litter"
            continue
        found[name] = path.read_bytes()
        if path.name == "results.json":
            results = json.loads(found[name])
            del results["timings"]
            found[name] = results
    return found


@pytest.fixture(scope="module")
def unbroken(place, inputs, forks):
    """Of a command, what it leaves and what it does to files."""

    @functools.cache
    def run(name):
        ended = start(place, inputs, forks, name)
        assert ended.status == 0, ended.stderr
        operations = (place / "operations.txt").read_text().splitlines()
        return left(place), operations

    return run


def check(place, inputs, forks, unbroken, name, kill_at):
    """Kill, run again, compare; what differs (str), or nothing."""
    wanted, operations = unbroken(name)
    ended = start(place, inputs, forks, name, kill_at=kill_at)
    at = f"{name}, before {operations[kill_at - 1]} ({kill_at})"
    if ended.status != -9:
        return f"{at}: status {ended.status}, not killed"
    ended = again(place, forks, name)
    if ended.status != 0:
        return f"{at}: status {ended.status} when run again\n{ended.stderr}"
    found = left(place)
    if found != wanted:
        names = sorted(
            key
            for key in found.keys() | wanted.keys()
            if found.get(key) != wanted.get(key)
        )
        return f"{at}: {names} differ"
    return None


@pytest.mark.parametrize(
    ("name", "share"),
    [(name, share) for name in SHARES for share in SHARES[name]],
)
def test_a_kill_costs_time_alone(place, inputs, forks, unbroken, name, share):
    n = len(unbroken(name)[1])
    assert n > 10
    wrong = check(
        place, inputs, forks, unbroken, name, max(1, round(share * n))
    )
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_a_kill_before_every_operation(
    place, inputs, forks, unbroken, name, record_property
):
    n = len(unbroken(name)[1])
    found = [
        check(place, inputs, forks, unbroken, name, k + 1) for k in range(n)
    ]
    wrong = [each for each in found if each]
    for each in found:
        record_property("fault", [f"kill of {name}", "accepted", each])
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["recipe", "tune"])
def test_a_second_process_says_why_it_stops(place, inputs, forks, name):
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(inputs, place)
    folder = place / FOLDERS[name]
    folder.mkdir(parents=True)
    (folder / "of the first.txt").touch()
    with locked(folder):
        ended = again(place, forks, name)
    assert ended.status == 2
    assert "another process is at work there" in ended.stderr
    assert [path.name for path in folder.iterdir()] == ["of the first.txt"]
