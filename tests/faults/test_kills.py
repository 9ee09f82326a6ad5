"""SIGKILL before every operation on a file, then the same command again.

What is left is what an unbroken run leaves, byte for byte, and nothing else.
"""

import functools
import json
import re
import shutil
from collections import Counter

import pytest
from hub import fake_hub
from templates import CLASSIFY, RECIPE, RUN, TUNE, write_inputs

from afpt_plugin.folders import locked

GRID = """
options: {dataset: OwnData, data_folder: recordings}
cells:
  - method: zero_shot
  - {method: hparams, captions: templates, number_of_epochs: 1}
"""
MINE = (
    "mine corpus.csv --class-names names.txt --output mined.csv "
    "--report hits.csv --skipped skipped.csv --overwrite"
).split()
CALLS = {
    "recipe": ("recipe", "OwnData", *RECIPE),
    "tune": ("afpt", *TUNE, "mine"),
    "classify": ("afpt", "classify", "recordings", "--windows", *CLASSIFY),
    "evaluate": (
        *("afpt", "evaluate", "export", "recordings", "--output", "new"),
        *("--device", "cpu"),
    ),
    "mine": ("afpt", *MINE),
    "report": ("afpt", "report", "results", "--output", "new"),
    "sweep": ("afpt", "sweep", "grid.yaml", "--results", "new"),
    "push": ("push", "HUB", "export", "someone/sounds"),
}
FOLDERS = {"recipe": RUN, "tune": "mine", "classify": "."}
#: Recipes, one after the other: every tenth kill will do.
STEPS = {"sweep": 10}
#: In so many tests, each of which takes less than five minutes
PARTS = {"recipe": 4, "tune": 3}
#: Of the operations on files, those that `make test` kills before.
SHARES = {"classify": [0.4, 0.9]}
# What tells the time, or how often a run was started
UNLIKE = re.compile(
    r"log\.txt|env\.log|train_log\.txt|stderr\.txt|operations\.txt|"
    r"store\.json|recordings\.json"
)
# What is called after a time, a process or its own bytes
NAMES = re.compile(r"CKPT\+[^/]*|\.part-\w+-\d+-|\b[0-9a-f]{32}\b")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The one folder where all runs happen, since some files hold its name."""
    return tmp_path_factory.mktemp("kills") / "here"


@pytest.fixture(scope="module")
def inputs(forks, tmp_path_factory):
    """What a command starts from."""
    folder = tmp_path_factory.mktemp("inputs") / "inputs"
    folder.mkdir()
    write_inputs(folder)
    (folder / "grid.yaml").write_text(GRID)
    (folder / "corpus.csv").write_text("caption\nA dog barks.\nIt rains.\n\n")
    ended = forks.run(folder, "afpt", *TUNE, "export")
    assert ended.status == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def hub():
    """Where exports are pushed to: its address, and what it holds."""
    with fake_hub() as hub:
        yield hub


@pytest.fixture(scope="module")
def again(place, forks, hub):
    """Run a command, where it may have run before."""

    def run(name, **hooks):
        call = [hub[0] if word == "HUB" else word for word in CALLS[name]]
        log = str(place / "operations.txt")
        return forks.run(place, *call, log=log, **hooks)

    return run


@pytest.fixture(scope="module")
def start(place, inputs, hub, again, request):
    """Run a command on fresh inputs."""

    def run(name, **hooks):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(inputs, place)
        if name == "report":
            results = request.getfixturevalue("template") / "results"
            shutil.copytree(results, place / "results")
        hub[1].repos.clear()
        return again(name, **hooks)

    return run


def left(place, hub):
    """Every file's bytes, but those that tell the time; folders; the hub's."""
    found, unlike = {}, Counter()
    for path in sorted(place.rglob("*")):
        name = str(path.relative_to(place))
        if path.is_dir():
            unlike[f"{NAMES.sub('', name)}/"] += 1
        elif "/features/" in name:
            # Shards may hold other parts of the same embeddings.
            found |= {name: "litter"} if "part" in path.name else {}
        elif "save/CKPT" in name or UNLIKE.fullmatch(path.name):
            unlike[NAMES.sub("", name)] += 1
        else:
            text = path.read_bytes()
            found[name] = re.sub(rb"adapted in [\d.]+ s", b"", text)
        if path.name == "results.json":
            results = json.loads(found[name])
            del results["timings"]
            found[name] = results
    return found | unlike | {"the hub": json.dumps(hub[1].repos, default=str)}


def operations(place):
    """(What a kill leaves, what is done) of each operation on a file."""
    lines = (place / "operations.txt").read_text().splitlines()
    return [tuple(NAMES.sub("", line).split(" ", 1)) for line in lines]


@pytest.fixture(scope="module")
def unbroken(place, hub, start):
    """Of a command, what it leaves and what it does to files."""

    @functools.cache
    def run(name):
        ended = start(name)
        assert ended.status == 0, ended.stderr
        return left(place, hub), operations(place)

    return run


@pytest.fixture(scope="module")
def check(place, hub, start, again, unbroken):
    """Kill, run again, compare; what differs (str), or nothing."""

    def run(name, kill_at):
        wanted, wanted_operations = unbroken(name)
        what = wanted_operations[kill_at - 1][1]
        at = f"{name}, before {what} ({kill_at})"
        ended = start(name, kill_at=kill_at)
        if ended.status != -9:
            return f"{at}: status {ended.status}, not killed"
        if (found := operations(place)[-1][1]) != what:
            return f"{at}: killed before {found} instead"
        ended = again(name)
        is_done = "mine holds a finished run" in ended.stderr
        if ended.status != 0 and not (name == "tune" and is_done):
            return f"{at}: status {ended.status} when run again\n{ended.stderr}"
        found = left(place, hub)
        names = sorted(
            key
            for key in found.keys() | wanted.keys()
            if found.get(key) != wanted.get(key)
        )
        return f"{at}: {names} differ" if names else None

    return run


@pytest.mark.parametrize(
    ("name", "share"),
    [(name, share) for name in SHARES for share in SHARES[name]],
)
def test_a_kill_costs_time_alone(unbroken, check, name, share):
    n = len(unbroken(name)[1])
    assert n > 10
    wrong = check(name, max(1, round(share * n)))
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "part"),
    [(name, part) for name in CALLS for part in range(PARTS.get(name, 1))],
)
def test_a_kill_before_every_operation(
    unbroken, check, name, part, record_property
):
    """Of operations that find the same files, one kill tells of all.

    Some of them change nothing, like the removal of what is not there.
    """
    states = [state for state, _ in unbroken(name)[1]]
    places = sorted({state: k for k, state in enumerate(states, 1)}.values())
    wrong = []
    for k in places[:: STEPS.get(name, 1)][part :: PARTS.get(name, 1)]:
        found = check(name, k)
        record_property("fault", [f"kill of {name}", "accepted", found])
        wrong += [found] if found else []
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["open", "rename"])
def test_two_kills_before_the_settings_are_there(
    place, hub, unbroken, start, again, before
):
    wanted, _ = unbroken("tune")
    at = f"{before} .*-settings.json"
    assert start("tune", kill_at=at).status == -9
    assert again("tune", kill_at=at).status == -9
    assert again("tune").status == 0
    assert left(place, hub) == wanted


@pytest.mark.parametrize("name", ["recipe", "tune"])
def test_a_second_process_says_why_it_stops(place, inputs, again, name):
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(inputs, place)
    folder = place / FOLDERS[name]
    folder.mkdir(parents=True)
    (folder / "of the first.txt").touch()
    with locked(folder):
        ended = again(name)
    assert ended.status == 2
    assert "another process is at work there" in ended.stderr
    assert [path.name for path in folder.iterdir()] == ["of the first.txt"]
