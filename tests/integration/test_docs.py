"""The worked examples in docs/, followed as a reader would.

A copy of the repository takes what a document tells the reader to write, block
by block; the commands run in it. The tests look at what is left behind.
"""

import csv
import re
import shutil

import pytest
import soundfile
from documents import BLOCK, ROOT, Reader, blocks_of

from afpt_plugin.data.captions import TEMPLATES

# docs/new_dataset.md

RUN = ("GTZAN", "mini", "PromptLearner", "1")
SAMPLES = "results/samples/GTZAN"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The fifth recipe, written and run once as sections 1 to 5 say."""
    reader = Reader(tmp_path_factory.mktemp("dataset"), "docs/new_dataset.md")
    reader.write_files()
    reader.do("sed -e")
    reader.first_run = reader.do("python recipes/GTZAN/train.py hparams.yaml\n")
    return reader


def test_the_fifth_recipe_leaves_what_the_document_lists(dataset):
    results = dataset.results(*RUN)
    assert results["dataset"] == "GTZAN"
    assert results["n_recordings"] == 20
    assert results["run_kind"] == "demonstration"
    assert results["n_captions"] == {"train": 10, "valid": 10}
    assert list(results["per_class"]["ensemble"])[4] == "hip hop music"
    folder = dataset.folder.joinpath("results", *RUN)
    lines = dataset.find("text", "results.json").splitlines()
    for name in (line.split()[0] for line in lines):
        assert (folder / name).exists(), name
    printed = dataset.first_run.stdout + dataset.first_run.stderr
    assert "--clap ms-2022 --data_folder /path/to/GTZAN" in printed
    recordings = sorted((dataset.folder / SAMPLES).rglob("*.wav"))
    assert [path.name for path in recordings[:2]] == [
        "blues.00000.wav",
        "blues.00001.wav",
    ]
    assert soundfile.info(recordings[0]).samplerate == 22050


def test_a_damaged_recording_ends_as_documented(dataset):
    process = dataset.run("bash", "-uc", dataset.find("bash", "touch "))
    assert process.returncode == 2
    assert "Traceback" not in process.stderr
    printed = re.escape(dataset.find("text", "error: ").strip())
    printed = printed.replace(re.escape("..."), ".*")
    found = process.stderr[process.stderr.index("error: ") :].strip()
    assert re.fullmatch(printed, found)
    dataset.do("rm ")
    assert not list(dataset.folder.rglob("jazz.00054.wav"))


def test_the_real_command_leaves_the_damaged_recording_out(dataset):
    """Its weights and its data are not here: mini-CLAP, the samples."""
    genre = dataset.folder / SAMPLES / "Data" / "genres_original" / "jazz"
    (genre / "jazz.00054.wav").touch()
    dataset.do(
        "/path/to/GTZAN", **{"ms-2022": "mini", "/path/to/GTZAN": SAMPLES}
    )
    (genre / "jazz.00054.wav").unlink()
    results = dataset.results(*RUN)
    assert (results["n_recordings"], results["n_left_out"]) == (20, 1)


def test_what_the_prep_script_refuses_is_a_sentence(dataset):
    data = dataset.folder / "odd" / "Data"
    shutil.copytree(dataset.folder / SAMPLES / "Data", data)
    genres = data / "genres_original"
    (genres / "polka").mkdir()
    for old, new in (
        ("rock/rock.00000.wav", "pop/rock.00000.wav"),
        ("rock/rock.00001.wav", "polka/polka.00000.wav"),
    ):
        (genres / old).rename(genres / new)
    script = """
import sys
sys.path.append("recipes/GTZAN")
from gtzan_prepare import prepare_gtzan
from afpt_plugin.errors import InputError
for folder, download in (("no", False), ("no", True), ("odd", False)):
    try:
        prepare_gtzan(folder, "save", download)
    except InputError as error:
        print(error)
"""
    process = dataset.run("python", "-c", script)
    assert process.returncode == 0, process.stderr
    for sentence in (
        "GTZAN was not found",
        "GTZAN cannot be fetched without a Kaggle login",
        "2 of 20 recordings cannot be used",
        "rock.00000.wav: its name is of another genre",
        "polka.00000.wav: wrong label: 'polka'",
    ):
        assert sentence in process.stdout


def test_captions_are_mined_and_learned_from(dataset):
    corpus = dataset.folder / "musiccaps-public.csv"
    rows = [
        (f"yt{number}", f"This {name} song features {instrument}.")
        for number, (name, instrument) in enumerate(
            (name, instrument)
            for name in ("blues", "rap", "jazz music", "rock music", "polka")
            for instrument in ("a loud bass", "a soft piano")
        )
    ]
    with open(corpus, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("ytid", "caption"), *rows])
    mining = dataset.do("afpt mine")
    assert "8 captions of 10 rows" in mining.stdout
    for name in ("classical music", "reggae music"):
        assert f"'{name}'" in mining.stderr
    dataset.do("--captions gtzan_mined.csv")
    results = dataset.results("GTZAN", "mined")
    assert results["captions"] == "gtzan_mined.csv"
    # Six classes have the templates instead.
    n_captions = 8 + 6 * len(TEMPLATES)
    assert sum(results["n_captions"].values()) == n_captions


def test_the_export_classifies_recordings(dataset):
    dataset.do("afpt classify")
    with open(dataset.folder / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {row["error"] for row in rows} == {""}
    names = set(dataset.results(*RUN)["per_class"]["ensemble"])
    assert {row["class_1"] for row in rows} <= names


def test_the_debug_flags_of_the_row_leave_what_it_lists(dataset):
    with open(dataset.folder / "tests" / "recipes" / "GTZAN.csv") as file:
        (row,) = csv.DictReader(file)
    process = dataset.run(
        "python",
        row["Script_file"],
        row["Hparam_file"],
        "--output_folder=debug",
        *row["test_debug_flags"].split(),
    )
    assert process.returncode == 0, process.stderr
    wanted = re.search(r"\[(.+)\]", row["test_debug_checks"])[1].split(",")
    found = {path.name for path in (dataset.folder / "debug").iterdir()}
    assert set(wanted) <= found


def test_the_recipe_passes_the_checks_of_a_contribution(dataset):
    process = dataset.do("ruff check")
    assert "recipes/GTZAN/hparams.yaml" not in process.stdout  # no failure
    assert re.search(r"\d+ passed", process.stdout)
    assert "All checks passed" in process.stdout


def test_the_lines_for_several_labels_are_those_of_fsd2019(dataset):
    hparams = (ROOT / "recipes" / "FSD2019" / "hparams.yaml").read_text()
    for line in dataset.find("yaml", "ranking_loss").splitlines():
        assert line in hparams.splitlines()


# docs/new_backbone.md


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A copy of the repository with the document's files."""
    reader = Reader(tmp_path_factory.mktemp("backbone"), "docs/new_backbone.md")
    reader.write_files()
    return reader


def test_an_unnamed_backbone_is_tuned_by_hand(backbone):
    process = backbone.run("python", "try_toy.py")
    assert process.returncode == 0, process.stderr
    losses = list(map(float, re.findall(r"loss \d: (.+)", process.stdout)))
    assert len(losses) == 10 and losses[-1] < losses[0]


def test_a_named_backbone_runs_in_a_recipe(backbone):
    registry = backbone.folder / "afpt_plugin" / "backbones" / "__init__.py"
    text, line = registry.read_text(), backbone.find("python", '"toy"')
    start = "BACKBONES = {\n"
    assert text.count(start) == 1
    registry.write_text(text.replace(start, start + line))
    backbone.do("--clap toy")
    results = backbone.results("US8K", "toy", "PromptLearner", "1")
    assert results["clap"] == "toy"
    assert results["n_recordings"] == 20


def test_the_toy_keeps_the_house_rules(backbone):
    path = "afpt_plugin/backbones/toy_clap.py"
    for arguments in (["check"], ["format", "--check"]):
        process = backbone.run("ruff", *arguments, path)
        assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize(
    "document", ["docs/new_dataset.md", "docs/new_backbone.md"]
)
def test_paths_and_modules_that_a_document_names_exist(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    own = {block.path for block in blocks_of(document)} | {
        "recipes/GTZAN/train.py"
    }
    prose = BLOCK.sub("", text)
    for path in re.findall(r"`((?:recipes|tests|afpt_plugin)/[^`]+)`", prose):
        assert path in own or (ROOT / path).exists(), path
