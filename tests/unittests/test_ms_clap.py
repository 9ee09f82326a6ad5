"""MS-CLAP: checkpoints read safely and completely, and msclap's own numbers."""

import copy
import shutil
import sys
import warnings

import huggingface_hub
import numpy as np
import pytest
import torch
from common import cases, refused
from huggingface_hub import constants, utils
from huggingface_hub.errors import OfflineModeIsEnabled
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model, logging

from afpt_plugin.backbones import load_clap, ms_clap, weights
from afpt_plugin.backbones.ms_clap import MsClap2022, MsClap2023
from afpt_plugin.backbones.weights import (
    fill_from_checkpoint,
    find_weights,
    no_init_weights,
    read_pth,
)
from afpt_plugin.errors import InputError


def fill_at_random(model):
    """Fill a model's learned values; constants stay as they are."""
    torch.manual_seed(0)
    for key, value in model.state_dict().items():
        if (
            key.endswith(ms_clap.MsClap.constant_buffers)
            or key == "logit_scale"
        ):
            continue
        if value.dim() == 1:
            scale = key.endswith((".weight", "running_var"))
            value.uniform_(-0.2, 0.2).add_(scale)
        elif "embeddings" in key:
            value.normal_()
        else:
            gain = 2 if value.dim() == 4 else 1  # a ReLU follows
            value.normal_(0, (gain / value[0].numel()) ** 0.5)
    return model.eval()


@pytest.fixture(scope="module")
def clap_2022(bert_config, tokenizer, msclap):
    """MS-CLAP 2022 with a tiny BERT."""
    with no_init_weights():
        return fill_at_random(MsClap2022(bert_config, 24, tokenizer))


@pytest.fixture(scope="module")
def clap_2023(msclap):
    """MS-CLAP 2023 with a tiny GPT-2."""
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4)
    with no_init_weights():
        return fill_at_random(MsClap2023(config, 24))


class Tiny(torch.nn.Module):
    """Learned values, learned buffers and constants, a handful of each."""

    constants = ("num_batches_tracked", ".attn.bias", "position_ids")

    def __init__(self):
        super().__init__()
        self.c_attn = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)
        self.h = torch.nn.Module()
        self.h.attn = torch.nn.Module()
        self.h.attn.register_buffer("bias", torch.ones(2, 2).tril())


def make_checkpoint():
    torch.manual_seed(0)
    return {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in Tiny().state_dict().items()
    }


def fill(state_dict, model=None):
    model = model or Tiny()
    fill_from_checkpoint(model, state_dict, "x.pth", Tiny.constants)
    return model


@pytest.fixture
def warned(monkeypatch):
    """The warnings that `weights` logs, formatted."""
    found = []
    monkeypatch.setattr(
        weights.logger, "warning", lambda text, *args: found.append(text % args)
    )
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_every_value_of_the_file_arrives(
    tmp_path, bare, as_zip, prefix, warned
):
    path, state_dict = tmp_path / "x.pth", make_checkpoint()
    content = {prefix + key: value for key, value in state_dict.items()}
    if not bare:
        content = {"model": content, "epoch": 3}
    torch.save(content, path, _use_new_zipfile_serialization=as_zip)
    assert_same(fill(read_pth(path)).state_dict(), state_dict)
    assert not warned


@cases(
    "name, shape",
    ("c_attn.bias", None),
    ("norm.running_var", None),
    ("c_attn.weight", [7, 5]),
    ("h.attn.bias", [7, 5]),
)
def test_a_misfit_is_named_and_the_model_stays_as_it_was(name, shape):
    model, state_dict = Tiny(), make_checkpoint()
    before = copy.deepcopy(model.state_dict())
    named = f"x.pth lacks 1 of the model's 6 learned values: {name}"
    del state_dict[name]
    if shape:
        state_dict[name] = torch.zeros(shape)
        own = list(before[name].shape)
        named = f"x.pth.*{name} is {shape} in the file, {own} in the model"
    with pytest.raises(InputError, match=named.replace("[", r"\[")):
        fill(state_dict, model)
    assert_same(model.state_dict(), before)


def test_constants_may_be_absent_or_unknown_and_other_extras_are_listed(warned):
    state_dict = make_checkpoint()
    del state_dict["h.attn.bias"], state_dict["norm.num_batches_tracked"]
    model = fill({**state_dict, "embeddings.position_ids": torch.arange(4)})
    assert torch.equal(model.h.attn.bias, torch.ones(2, 2).tril())
    assert torch.equal(model.c_attn.bias, state_dict["c_attn.bias"])
    assert not warned
    fill(state_dict | {f"head.{i}": torch.zeros(1) for i in range(10)})
    (message,) = warned
    assert "10 entries of x.pth" in message and "head.0, head.1" in message
    assert message.endswith("and 2 more")


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
def test_numpy_scalars_beside_the_weights_are_accepted(tmp_path, module):
    path, model = tmp_path / "x.pth", make_checkpoint()
    scalars = {"best": np.float64(1), "loss": np.float32(1), "n": np.int64(3)}
    content = {"model": model, **scalars}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    written = path.read_bytes()
    name = np.float64().__reduce__()[0].__module__.encode() + b"\n"
    assert name in written
    path.write_bytes(written.replace(name, module + b"multiarray\n"))
    assert read_pth(path).keys() == model.keys()


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    class Malicious:
        def __reduce__(self):
            return open, (str(tmp_path / "trace"), "w")

    torch.save({"model": make_checkpoint(), "x": Malicious()}, tmp_path / "x")
    with pytest.raises(InputError, match="could run code"):
        read_pth(tmp_path / "x")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("as_zip", [True, False])
@cases("kept", 0, 1, 100, 0.5, 0.95, b"<html>Sign in</html>", b"\0" * 999)
def test_a_cut_or_foreign_file_is_an_error_that_names_it(
    tmp_path, kept, as_zip
):
    path = tmp_path / "x.pth"
    torch.save(make_checkpoint(), path, _use_new_zipfile_serialization=as_zip)
    if not isinstance(kept, bytes):
        written = path.read_bytes()
        kept = written[: kept if kept >= 1 else int(kept * len(written))]
    path.write_bytes(kept)
    with pytest.raises(InputError, match=r"x\.pth is not a checkpoint"):
        read_pth(path)


@cases(
    "content, complaint",
    (torch.zeros(3), "holds a Tensor"),
    ([torch.zeros(3)], "holds a list"),
    ({}, "holds a dict"),
    ({"model": {"a": torch.zeros(3), "b": 3}}, "not tensors: b"),
    ({"state_dict": {"a": torch.zeros(3)}}, "not tensors: state_dict"),
    ({0: torch.zeros(3)}, "not tensors: 0"),
)
def test_anything_but_a_state_dict_is_an_error(tmp_path, content, complaint):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=complaint):
        read_pth(tmp_path / "x.pth")


WAYS_OUT = ("--weights PATH", "--clap mini")


@pytest.mark.parametrize("clap", ["ms-2022", "ms-2023"])
def test_a_missing_file_is_an_error_with_the_two_ways_out(tmp_path, clap):
    for path, reason in (
        (tmp_path / "none.pth", "exist"),
        (tmp_path, "folder"),
    ):
        with refused(clap, path, reason, *WAYS_OUT):
            load_clap(clap, weights=path)


@pytest.mark.parametrize("failure", [ConnectionError, OfflineModeIsEnabled])
def test_a_missing_network_is_one_error_with_the_two_ways_out(
    monkeypatch, tmp_path, failure
):
    class NoNetwork:
        def head(self, url, timeout):
            raise failure("unreachable")

    monkeypatch.setattr(utils, "get_session", NoNetwork)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    where = (tmp_path, constants.ENDPOINT, failure.__name__)
    with refused("ms-2022", "x.pth", "microsoft/msclap", *where, *WAYS_OUT):
        find_weights(None, "microsoft/msclap", "x.pth", "ms-2022")
    (tmp_path / "x.pth").touch()
    beside = f"beside the weights of ms-2023 ({tmp_path})"
    with refused("gpt2", "vocab.json", *where, beside, "--clap mini"):
        load_clap("ms-2023", weights=tmp_path / "x.pth")


def test_any_error_of_the_hubs_own_client_is_that_error(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with refused("ms-2022", "x.pth", "http://127.0.0.1:9", *WAYS_OUT):
        find_weights(None, "microsoft/msclap", "x.pth", "ms-2022")


def test_the_cache_is_used_without_asking_the_network(monkeypatch, tmp_path):
    def download(repo_id, filename, local_files_only=False, **options):
        assert local_files_only
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    # A folder that is called like the repository is not looked at.
    (tmp_path / "microsoft" / "msclap").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = find_weights(None, "microsoft/msclap", "x.pth", "ms-2022")
    assert found == tmp_path / "x.pth"


def test_importing_msclap_silences_neither_warnings_nor_transformers(
    monkeypatch, msclap
):
    for name in ("msclap", "msclap.CLAPWrapper"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = list(warnings.filters), logging.get_verbosity()
    ms_clap._read_settings("2022")
    assert "msclap.CLAPWrapper" in sys.modules
    assert (list(warnings.filters), logging.get_verbosity()) == before


def test_without_msclap_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(ms_clap, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install msclap"):
        ms_clap._read_settings("2022")


def test_the_fingerprint_counts_weights_and_not_constants(clap, clap_2023):
    """On the tiny CLAP, since hashing a real one takes seconds."""
    state, found = clap.state_dict(), []
    for name in ("window", "scale"):
        found.append(clap.fingerprint)
        state[name] += 1
        del clap.fingerprint
    assert found[0] == found[1] != clap.fingerprint
    # GPT-2's constant mask is called `attn.bias`.
    name = "caption_encoder.base.h.0.attn.c_attn.bias"
    assert name in clap_2023.state_dict()
    assert not name.endswith(clap_2023.constant_buffers)


def test_cnn14_runs_once_and_its_clip_is_msclaps(clap_2022):
    tower, wavs, maps = clap_2022.audio_encoder.base, torch.randn(2, 66150), []
    hook = tower.conv_block6.register_forward_hook(
        lambda module, inputs, output: maps.append(output)
    )
    audio = clap_2022.encode_audio(wavs, torch.tensor([1.0, 0.4]))
    hook.remove()
    assert len(maps) == 1
    assert torch.equal(audio.whole, clap_2022.audio_encoder(wavs)[0])
    threes = maps[0].mean(3).unfold(2, 3, 1)  # [2, 2048, 4, 3]
    pooled = (threes.amax(3) + threes.mean(3)).transpose(1, 2)
    expected = clap_2022.audio_encoder.projection(tower.fc1(pooled).relu())
    assert torch.allclose(audio.parts, expected, atol=1e-5)
    # 207 hops, 6 frames of the trunk, 4 after pooling over 3.
    assert audio.parts.shape == (2, 4, 24)
    # Centers at 1.5, 2.5, ... times 32 hops; 40 % of 66150 are 82 hops.
    assert audio.mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_a_recording_has_real_frames_only_and_one_at_least(
    clap_2022, clap_2023
):
    for n in (30400, 44100, 88200, 100000, 101119):
        audio = clap_2022.encode_audio(torch.randn(1, n), torch.ones(1))
        assert audio.mask.tolist() == [[True] * ((n // 320 + 1) // 32 - 2)]
    lens = torch.tensor([1, 0.01])
    audio = clap_2022.encode_audio(torch.randn(2, 44100), lens)
    assert audio.mask.sum(1).tolist() == [2, 1]
    for clap, least in ((clap_2022, 30400), (clap_2023, 1024)):
        with refused(f"{least - 1} samp", f"least {least}"):
            clap.encode_audio(torch.randn(1, least - 1), torch.ones(1))


# One window; the longest that is one; two windows; more hops than one window
# and too few for the second.
@cases(
    "samples, windows",
    (44100, 1),
    (1023 * 320 + 319, 1),
    (1034 * 320, 2),
    (1024 * 320, 1),
)
def test_htsat_frames_average_to_the_latent_embedding(
    clap_2023, monkeypatch, samples, windows
):
    monkeypatch.setitem(
        clap_2023.audio_encoder._modules, "projection", torch.nn.Identity()
    )
    wavs = torch.randn(1, samples)
    audio = clap_2023.encode_audio(wavs, torch.ones(1))
    assert audio.parts.shape == (1, 32 * windows, 768)
    assert torch.allclose(audio.parts.mean(1), audio.whole, atol=1e-5)
    assert audio.mask.all()


def test_htsat_frames_behind_the_end_of_a_recording_are_masked(clap_2023):
    lens = torch.tensor([1.0, 0.25])
    one = clap_2023.encode_audio(torch.randn(2, 44100), lens)
    assert one.mask.tolist() == [[True] * 32, [True] * 8 + [False] * 24]
    # Windows start at hops 0 and 344 and are 689 wide; the end is at hop 517.
    lens = torch.tensor([0.5])
    two = clap_2023.encode_audio(torch.randn(1, 1034 * 320), lens)
    real = two.mask[0].nonzero().flatten().tolist()
    assert real == [*range(24), *range(32, 40)]


@torch.no_grad()
@pytest.mark.parametrize("version", ["2022", "2023"])
def test_a_checkpoint_of_the_real_size_gives_msclaps_embeddings(
    tmp_path, gpt2_folder, warned, version, msclap
):
    with warnings.catch_warnings():
        from msclap.models.clap import AudioEncoder, Projection
    # As msclap's training leaves it: constants and other values beside.
    settings = (1024, 44100, 1024, 320, 64, 50)
    with no_init_weights():
        if version == "2022":
            their_audio = AudioEncoder("Cnn14", 2048, *settings, 14000, 527)
            their_text = BertModel(BertConfig())
            extra = {"embeddings.position_ids": torch.arange(512)}
        else:
            their_audio = AudioEncoder("HTSAT", 768, *settings, 8000, 527)
            their_text = GPT2Model(GPT2Config())
            mask = torch.ones(1, 1, 1024, 1024, dtype=torch.uint8)
            extra = {"h.0.attn.bias": mask, "h.0.attn.masked_bias": mask[0, 0]}
    parts = {
        "audio_encoder": fill_at_random(their_audio),
        "caption_encoder.base": fill_at_random(their_text),
        "caption_encoder.projection": Projection(768, 1024).eval(),
    }
    state = {"logit_scale": torch.tensor(3.0)}
    for prefix, module in parts.items():
        values = module.state_dict()
        state |= {f"{prefix}.{key}": value for key, value in values.items()}
    state |= {f"caption_encoder.base.{k}": v for k, v in extra.items()}
    shutil.copytree(gpt2_folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"CLAP_weights_{version}.pth"
    torch.save({"model": state, "epoch": 7, "best": np.float64(0.5)}, path)
    clap = load_clap(f"ms-{version}", weights=path)
    path.unlink()  # of 600 MB
    assert not warned
    assert not any(p.requires_grad for p in clap.parameters())
    assert not any(module.training for module in clap.train().modules())
    assert (clap.embed_dim, clap.token_dim) == (1024, 768)
    assert clap.sample_rate == 44100
    assert clap.logit_scale == pytest.approx(20.09, abs=0.01)

    wavs = 0.1 * torch.randn(1, 44100)
    audio = clap.encode_audio(wavs, torch.ones(1))
    assert torch.allclose(audio.whole, their_audio(wavs)[0], atol=1e-5)

    captions = ["this is a sound of dog", "a baby's cry, far away"]
    tokenizer = clap.caption_encoder.tokenizer
    length = {"padding": "max_length", "max_length": 77}
    if version == "2022":
        ids = tokenizer(captions[0])["input_ids"]
        assert ids == [101, 2023, 2003, 1037, 2614, 1997, 3899, 102]
        batch, at = tokenizer(captions, return_tensors="pt", **length), 0
    else:  # as in msclap's wrapper and text tower
        texts = [f"{caption} <|endoftext|>" for caption in captions]
        batch = tokenizer(texts, return_tensors="pt", **length)
        at = torch.ne(batch["input_ids"], 0).sum(-1) - 1
    states = their_text(**batch)[0][torch.arange(2), at]
    expected = parts["caption_encoder.projection"](states)
    encoded = clap.encode_captions(captions)
    assert torch.allclose(encoded.whole, expected, atol=1e-4)
    prompts = clap.encode_prompts(
        clap.embed_words("this is a sound of"),
        clap.tokenize_class_names(["dog"]),
    )
    assert torch.allclose(prompts[0], expected[0], atol=1e-4)
