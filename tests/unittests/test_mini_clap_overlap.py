"""The search for training sounds that share a recording with a benchmark."""

import csv
import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afpt_plugin.errors import InputError

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "MiniCLAP"
RATE = 16000


@pytest.fixture(scope="module")
def bench():
    path = ROOT / "benchmarks" / "overlap.py"
    spec = importlib.util.spec_from_file_location("overlap_benchmark", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def overlap(bench):
    return bench.load_overlap()


@pytest.fixture(scope="module")
def sounds(bench):
    return bench.generated_sounds(12, seed=7)


# Each floor is a sound of 12 under what was measured
@pytest.mark.parametrize(
    "name, floor",
    [
        ("equaliser", 10),
        ("low-pass 4 kHz, 8 bit", 10),
        ("MP3, worst", 10),
        ("white noise 10 dB", 7),
        ("reverberation", 9),
        ("0.5 to 3 % faster", 10),
        ("0.5 s of it in another", 10),
        ("mixed at 0 dB", 7),
        ("speed, eq, room, noise, Ogg", 6),
    ],
)
def test_degraded_copies_are_found(bench, overlap, sounds, name, floor):
    scores = bench.recall_scores(overlap, sounds, name)
    assert (scores >= overlap.THRESHOLD).sum() >= floor


def test_other_recordings_of_the_same_class_do_not_match(bench, overlap):
    names = ["bicycle bell", "chirping birds", "rain", "footsteps"]
    scores = bench.alike_scores(overlap, 4, 4, names)
    assert max(s.max() for s in scores.values()) < overlap.THRESHOLD


def test_a_sound_scores_far_higher_in_itself_than_in_any_other(overlap, sounds):
    marks = [overlap.fingerprint(sig, RATE) for sig in sounds]
    scores, _ = overlap.score_matrix(marks, [(sig, RATE) for sig in sounds])
    own = np.diag(scores)
    other = (scores - 1e9 * np.eye(len(sounds))).max(1)
    # All but the half second of a drum
    assert (own > 3 * other).sum() >= len(sounds) - 1


def test_loudness_does_not_change_the_fingerprint(overlap, sounds):
    loud = overlap.fingerprint(sounds[0], RATE)
    soft = overlap.fingerprint(0.01 * sounds[0], RATE)
    np.testing.assert_allclose(soft, loud, atol=1e-3)


def test_lag_is_where_the_sound_begins_at_any_rate_and_speed(overlap, sounds):
    rng = np.random.default_rng(0)
    sig = rng.standard_normal(RATE)
    recording = np.pad(sig, (2 * RATE, RATE))
    late = sig[RATE // 4 :]
    matches, undecidable = overlap.find_overlaps(
        [("noise", sig, RATE)],
        [
            ("later", recording, RATE),
            ("its end", late, RATE),
            ("slower", recording, 0.98 * RATE),
            ("other", rng.standard_normal(RATE), RATE),
        ],
    )
    lags = {match.recording: match.lag for match in matches}
    assert lags == {
        "later": pytest.approx(2, abs=0.02),
        "its end": pytest.approx(-0.25, abs=0.02),
        "slower": pytest.approx(2 / 0.98, abs=0.05),
    }
    assert not undecidable


def test_a_recording_that_repeats_the_sound_still_matches(overlap, sounds):
    mark = overlap.fingerprint(sounds[0], RATE)
    recording = np.resize(sounds[0], 5 * len(sounds[0]))
    scores, _ = overlap.score_matrix([mark], [(recording, RATE)])
    assert scores[0, 0] > overlap.THRESHOLD


@pytest.mark.parametrize(
    "sig",
    [
        np.zeros(RATE),
        np.sin(0.3 * np.arange(RATE)),
        np.pad(np.random.default_rng(0).standard_normal(3200), (0, RATE)),
        np.eye(1, RATE, 500)[0],
    ],
    ids=["silence", "tone", "0.2 s of noise in silence", "click"],
)
def test_sounds_whose_copy_would_not_be_found_are_undecidable(overlap, sig):
    named = [("plain", sig, RATE)]
    assert overlap.find_overlaps(named, named)[1] == ["plain"]


@pytest.fixture
def run(overlap, monkeypatch):
    """The command line in this process; its exit status."""
    monkeypatch.syspath_prepend(str(RECIPE))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["overlap.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as status:
            overlap.main()
        return status.value.code

    return run


def test_command_line_writes_the_matches_and_fails(run, capsys, tmp_path):
    rng = np.random.default_rng(0)
    sig = 0.1 * rng.standard_normal((2, 32000))
    (tmp_path / "clips" / "fold1").mkdir(parents=True)
    soundfile.write(tmp_path / "clips" / "fold1" / "a.wav", sig[0], RATE)
    (tmp_path / "game").mkdir()
    columns = "package version path member concept licence attribution"
    manifest = [[*columns.split(), "split", "sha256"]]
    for name, sound in (("same", sig[0, 8000:]), ("other", sig[1])):
        path = tmp_path / "game" / f"{name}.wav"
        soundfile.write(path, sound, RATE)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.append(
            ["game", "1", f"game/{name}.wav", "", "dog", "CC0-1.0", "A. Dog"]
            + ["train", digest]
        )
    with open(tmp_path / "sounds.csv", "w", newline="") as file:
        csv.writer(file).writerows(manifest)
    status = run(
        tmp_path / "clips",
        *("--debian_root", tmp_path),
        *("--manifest", tmp_path / "sounds.csv"),
        *("--output", tmp_path / "overlap.csv"),
    )
    assert status == 1
    printed = capsys.readouterr().out
    assert "1 matches of 2 sounds with 1 recordings" in printed
    with open(tmp_path / "overlap.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == "game/same.wav"
    assert row["recording"] == str(Path("fold1", "a.wav"))
    assert float(row["lag"]) == pytest.approx(0.5, abs=0.02)


def test_a_folder_without_recordings_is_an_error(overlap, tmp_path):
    with pytest.raises(InputError, match="no recording in"):
        overlap.read_folder(tmp_path)
