"""MS-CLAP: checkpoints read safely and completely, and msclap's own numbers."""

import json
import sys
import warnings

import numpy as np
import pytest
import torch
from huggingface_hub.errors import OfflineModeIsEnabled
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    GPT2Config,
    GPT2Model,
    logging,
)
from transformers.modeling_utils import no_init_weights
from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

from afpt_plugin.backbones import load_clap, ms_clap
from afpt_plugin.backbones import weights as loading
from afpt_plugin.backbones.ms_clap import MsClap2022, MsClap2023
from afpt_plugin.backbones.weights import (
    fill_from_checkpoint,
    find_weights,
    read_pth,
)
from afpt_plugin.errors import InputError

WORDS = "this is a sound of dog rain [UNK]".split()


def fill_at_random(model):
    """Fill a model's learned values quickly; constants stay as they are."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1_000_003, generator=generator)
    for start, (key, value) in enumerate(model.state_dict().items()):
        if key.endswith(model.constant_buffers) or key == "logit_scale":
            continue
        repeats = value.numel() // len(noise) + 2
        drawn = noise.roll(start).repeat(repeats)[: value.numel()]
        if key.endswith("running_var"):
            drawn = 1 + 0.2 * drawn.abs()
        elif value.dim() == 1:
            drawn = 0.1 * drawn + key.endswith(".weight")
        elif "embeddings" not in key:
            gain = 2 if value.dim() == 4 else 1
            drawn = drawn * (gain / value[0].numel()) ** 0.5
        value.copy_(drawn.view(value.shape))
    return model


@pytest.fixture(scope="module")
def clap_2022(tmp_path_factory):
    """MS-CLAP 2022 with a tiny BERT of twelve word pieces."""
    path = tmp_path_factory.mktemp("bert") / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    with no_init_weights():
        clap = MsClap2022(
            text_config=BertConfig(
                vocab_size=12,
                hidden_size=32,
                num_hidden_layers=2,
                num_attention_heads=4,
                intermediate_size=64,
                max_position_embeddings=32,
            ),
            embed_dim=24,
            tokenizer=BertTokenizerFast(str(path)),
        )
    return fill_at_random(clap)


@pytest.fixture(scope="module")
def clap_2023():
    """MS-CLAP 2023 with a tiny GPT-2."""
    config = GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=4)
    with no_init_weights():
        clap = MsClap2023(text_config=config, embed_dim=24)
    return fill_at_random(clap)


class Tiny(torch.nn.Module):
    """Learned values, learned buffers and constants, a handful of each."""

    constants = ("num_batches_tracked", ".attn.bias", "position_ids")

    def __init__(self):
        super().__init__()
        self.c_attn = torch.nn.Linear(3, 2)
        self.norm = torch.nn.BatchNorm1d(2)
        self.attn = torch.nn.Module()
        self.h = torch.nn.Module()
        self.h.attn = torch.nn.Module()
        self.h.attn.register_buffer("bias", torch.ones(2, 2).tril())


def _checkpoint():
    torch.manual_seed(0)
    return {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in Tiny().state_dict().items()
    }


def _fill(state_dict):
    model = Tiny()
    fill_from_checkpoint(model, state_dict, "x.pth", Tiny.constants)
    return model


@pytest.fixture
def warned(monkeypatch):
    """The warnings that `loading` logs, formatted."""
    messages = []
    monkeypatch.setattr(
        loading.logger,
        "warning",
        lambda text, *values: messages.append(text % values),
    )
    return messages


@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_value_of_the_file_arrives(prefix, warned):
    state_dict = _checkpoint()
    model = _fill({prefix + k: v for k, v in state_dict.items()})
    for key, value in model.state_dict().items():
        assert torch.equal(value, state_dict[key]), key
    assert not warned


@pytest.mark.parametrize("name", ["c_attn.bias", "norm.running_var"])
def test_a_missing_learned_value_is_an_error_that_names_it(name):
    state_dict = _checkpoint()
    del state_dict[name]
    with pytest.raises(InputError, match=f"x.pth: lacks 1 .* values: {name}"):
        _fill(state_dict)


def test_constants_may_be_absent(warned):
    state_dict = _checkpoint()
    del state_dict["h.attn.bias"], state_dict["norm.num_batches_tracked"]
    model = _fill(state_dict)
    assert torch.equal(model.h.attn.bias, torch.ones(2, 2).tril())
    assert torch.equal(model.c_attn.bias, state_dict["c_attn.bias"])
    assert not warned


def test_constants_that_the_model_has_not_are_left_out_in_silence(warned):
    _fill({**_checkpoint(), "embeddings.position_ids": torch.arange(4)})
    assert not warned


def test_other_extra_entries_are_listed_in_one_warning(warned):
    extra = {f"head.{i}": torch.zeros(1) for i in range(10)}
    _fill({**_checkpoint(), **extra})
    (message,) = warned
    assert message.startswith("x.pth: 10 entries are not used: head.0, head.1")
    assert message.endswith("and 2 more")


@pytest.mark.parametrize("name", ["c_attn.weight", "h.attn.bias"])
def test_another_shape_is_an_error_with_both_shapes(name):
    state_dict = {**_checkpoint(), name: torch.zeros(7, 5)}
    with pytest.raises(InputError) as error:
        _fill(state_dict)
    own = list(Tiny().state_dict()[name].shape)
    expected = f"{name} is [7, 5] in the file, {own} in the model"
    assert expected in str(error.value)


def test_a_refused_checkpoint_leaves_the_model_alone():
    model = Tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state_dict = _checkpoint()
    del state_dict["norm.running_mean"]
    with pytest.raises(InputError):
        fill_from_checkpoint(model, state_dict, "x.pth", Tiny.constants)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_a_state_dict_is_read_bare_or_under_model(tmp_path, bare, as_zip):
    path, state_dict = tmp_path / "x.pth", _checkpoint()
    torch.save(
        state_dict if bare else {"model": state_dict, "epoch": 3},
        path,
        _use_new_zipfile_serialization=as_zip,
    )
    read = read_pth(path)
    assert read.keys() == state_dict.keys()
    assert all(torch.equal(read[key], state_dict[key]) for key in read)


@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
def test_numpy_scalars_beside_the_weights_are_accepted(tmp_path, module):
    path = tmp_path / "x.pth"
    torch.save(
        {
            "model": _checkpoint(),
            "best": np.float64(0.5),
            "loss": np.float32(0.5),
            "epoch": np.int64(3),
        },
        path,
        _use_new_zipfile_serialization=False,
    )
    written = path.read_bytes()
    name = np.float64().__reduce__()[0].__module__.encode() + b"\n"
    assert name in written
    path.write_bytes(written.replace(name, module + b"multiarray\n"))
    assert read_pth(path).keys() == _checkpoint().keys()


class Malicious:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path):
    trace = tmp_path / "trace"
    torch.save({"model": _checkpoint(), "x": Malicious(trace)}, tmp_path / "x")
    with pytest.raises(InputError, match="could run code") as error:
        read_pth(tmp_path / "x")
    assert "weights_only" not in str(error.value)
    assert not trace.exists()


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.95])
def test_a_cut_file_is_an_error_that_names_it(tmp_path, kept, as_zip):
    path = tmp_path / "x.pth"
    torch.save(_checkpoint(), path, _use_new_zipfile_serialization=as_zip)
    written = path.read_bytes()
    path.write_bytes(
        written[: kept if isinstance(kept, int) else int(kept * len(written))]
    )
    with pytest.raises(InputError, match=r"x\.pth: is not a checkpoint"):
        read_pth(path)


@pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"\0" * 999])
def test_a_file_of_another_kind_is_an_error(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.pth: is not a checkpoint"):
        read_pth(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "content, complaint",
    [
        (torch.zeros(3), "holds a Tensor"),
        ([torch.zeros(3)], "holds a list"),
        ({}, "holds a dict"),
        ({"model": {"a": torch.zeros(3), "b": 3}}, "not tensors: b"),
        ({"state_dict": {"a": torch.zeros(3)}}, "not tensors: state_dict"),
        ({0: torch.zeros(3)}, "not tensors: 0"),
    ],
)
def test_anything_but_a_state_dict_is_an_error(tmp_path, content, complaint):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(InputError, match=complaint):
        read_pth(tmp_path / "x.pth")


@pytest.mark.parametrize("clap", ["ms-2022", "ms-2023"])
def test_a_missing_file_is_an_error_with_the_two_ways_out(tmp_path, clap):
    with pytest.raises(InputError) as error:
        load_clap(clap, weights=tmp_path / "none.pth")
    message = str(error.value)
    assert clap in message
    assert "none.pth" in message and "no such file" in message
    assert "--weights PATH" in message and "--clap mini" in message


def test_a_folder_is_not_a_checkpoint(tmp_path):
    with pytest.raises(InputError, match="there is a folder"):
        find_weights(tmp_path, "microsoft/msclap", "x.pth", "ms-2022")


@pytest.mark.parametrize("failure", [ConnectionError, OfflineModeIsEnabled])
def test_no_network_is_one_error_with_the_two_ways_out(
    monkeypatch, tmp_path, failure
):
    from huggingface_hub import constants, utils

    class NoNetwork:
        def head(self, url, timeout):
            raise failure("unreachable")

    monkeypatch.setattr(utils, "get_session", NoNetwork)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError) as error:
        find_weights(None, "microsoft/msclap", "x.pth", "ms-2022")
    message = str(error.value)
    assert "weights of ms-2022" in message
    assert "x.pth of microsoft/msclap" in message
    assert str(tmp_path) in message and constants.ENDPOINT in message
    assert "--weights PATH" in message and "--clap mini" in message


def test_the_cache_is_used_without_asking_the_network(monkeypatch, tmp_path):
    import huggingface_hub

    def download(repo_id, filename, local_files_only=False):
        assert local_files_only
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    found = find_weights(None, "microsoft/msclap", "x.pth", "ms-2022")
    assert found == tmp_path / "x.pth"


def test_importing_msclap_silences_neither_warnings_nor_transformers(
    monkeypatch,
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
        MsClap2022(embed_dim=24)


def test_names_in_the_state_dict_are_msclaps(clap_2022):
    names = clap_2022.state_dict().keys()
    assert {".".join(name.split(".")[:2]) for name in names} == {
        "audio_encoder.base",
        "audio_encoder.projection",
        "caption_encoder.base",
        "caption_encoder.projection",
        "logit_scale",
    }
    assert "caption_encoder.base.pooler.dense.weight" in names
    assert clap_2022.logit_scale == pytest.approx(1 / 0.07)


def test_it_is_frozen_and_stays_in_evaluation_mode(clap_2022):
    assert not any(p.requires_grad for p in clap_2022.parameters())
    clap_2022.train()
    assert not any(module.training for module in clap_2022.modules())


def test_the_fingerprint_counts_weights_and_not_constants(clap_2022):
    def fingerprint():
        clap_2022._fingerprint = None
        return clap_2022.fingerprint

    state, first = clap_2022.state_dict(), fingerprint()
    mel = state["audio_encoder.base.logmel_extractor.melW"]
    mel += 1
    assert fingerprint() == first
    mel -= 1
    scale = state["logit_scale"]
    scale += 1
    assert fingerprint() != first
    scale -= 1
    assert fingerprint() == first


def test_the_fingerprint_counts_the_bias_of_gpt2s_attention(clap_2023):
    name = "caption_encoder.base.h.0.attn.c_attn.bias"
    assert name in clap_2023.state_dict()
    assert not name.endswith(clap_2023.constant_buffers)


def test_label_dropout_changes_prompts_inside_and_nothing_after(clap_2022):
    before = {k: v.clone() for k, v in clap_2022.state_dict().items()}
    tokens = clap_2022.tokenize_class_names(["dog", "rain"])
    ctx = torch.randn(4, 32)
    plain = clap_2022.encode_prompts(ctx, tokens)
    with clap_2022.label_dropout():
        inside = clap_2022.encode_prompts(ctx, tokens)
        assert not clap_2022.audio_encoder.training
    with clap_2022.label_dropout(enabled=False):
        disabled = clap_2022.encode_prompts(ctx, tokens)
    assert not torch.allclose(inside, plain, atol=1e-2)
    assert torch.equal(disabled, plain)
    assert torch.equal(clap_2022.encode_prompts(ctx, tokens), plain)
    for key, value in clap_2022.state_dict().items():
        assert torch.equal(value, before[key]), key


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
    # Centres at 1.5, 2.5, ... times 32 hops; 40 % of 66150 are 82 hops.
    assert audio.mask.tolist() == [[True] * 4, [True, True, False, False]]


@pytest.mark.parametrize("samples", [30400, 44100, 88200, 100000, 101119])
def test_a_whole_recording_has_real_frames_only(clap_2022, samples):
    audio = clap_2022.encode_audio(torch.randn(1, samples), torch.ones(1))
    assert audio.mask.all()
    assert audio.parts.shape[1] == (samples // 320 + 1) // 32 - 2


def test_the_shortest_recording_of_a_batch_keeps_a_frame(clap_2022):
    audio = clap_2022.encode_audio(
        torch.randn(2, 44100), torch.tensor([1, 0.01])
    )
    assert audio.mask.sum(1).tolist() == [2, 1]


def test_a_recording_without_a_frame_is_refused(clap_2022, clap_2023):
    with pytest.raises(InputError, match=r"at least 30400 \(0.69 s\)"):
        clap_2022.encode_audio(torch.randn(1, 30399), torch.ones(1))
    with pytest.raises(InputError, match="at least 1024"):
        clap_2023.encode_audio(torch.randn(1, 1023), torch.ones(1))


# One window; the longest that is one; two windows; more hops than one window
# and too few for the second.
@pytest.mark.parametrize(
    "samples, windows",
    [(44100, 1), (1023 * 320 + 319, 1), (1034 * 320, 2), (1024 * 320, 1)],
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
    one = clap_2023.encode_audio(
        torch.randn(2, 44100), torch.tensor([1.0, 0.25])
    )
    assert one.mask.sum(1).tolist() == [32, 8]
    assert one.mask[1, :8].all()
    # Windows start at hops 0 and 344 and are 689 wide; the end is at hop 517.
    two = clap_2023.encode_audio(
        torch.randn(1, 1034 * 320), torch.tensor([0.5])
    )
    assert two.mask[0].nonzero().flatten().tolist() == [
        *range(24),
        *range(32, 40),
    ]


def _write(clap, path, constants, absent=()):
    # As msclap's training script leaves it: more than weights in the file.
    state = {k: v for k, v in clap.state_dict().items() if k not in absent}
    torch.save(
        {
            "model": {**state, **constants},
            "epoch": 7,
            "best": np.float64(0.5),
        },
        path,
    )


def _read_part(path, prefix):
    return {
        key.removeprefix(prefix): value
        for key, value in read_pth(path).items()
        if key.startswith(prefix)
    }


def _msclaps_audio_encoder(path, *settings):
    with warnings.catch_warnings():
        from msclap.models.clap import AudioEncoder
    with no_init_weights():
        tower = AudioEncoder(*settings)
    tower.load_state_dict(_read_part(path, "audio_encoder."), strict=True)
    return tower.eval()


@torch.no_grad()
def test_ms_clap_2022_of_the_real_size_gives_msclaps_embeddings(
    tmp_path, warned
):
    path = tmp_path / "CLAP_weights_2022.pth"
    with no_init_weights():
        source = MsClap2022()
    _write(
        fill_at_random(source),
        path,
        {"caption_encoder.base.embeddings.position_ids": torch.arange(512)},
    )
    del source

    clap = load_clap("ms-2022", weights=path)

    assert not warned
    assert (clap.embed_dim, clap.token_dim) == (1024, 768)
    assert clap.sample_rate == 44100
    wavs = 0.1 * torch.randn(1, 44100)
    theirs = _msclaps_audio_encoder(
        path, "Cnn14", 2048, 1024, 44100, 1024, 320, 64, 50, 14000, 527
    )
    audio = clap.encode_audio(wavs, torch.ones(1))
    assert torch.allclose(audio.whole, theirs(wavs)[0], atol=1e-5)
    del theirs

    captions = ["this is a sound of dog", "a baby's cry, far away"]
    with no_init_weights():
        bert = BertModel(BertConfig()).eval()
    bert.load_state_dict(
        {
            key: value
            for key, value in _read_part(path, "caption_encoder.base.").items()
            if not key.endswith("position_ids")
        }
    )
    tokens = clap.caption_encoder.tokenizer(
        captions, padding="max_length", max_length=100, return_tensors="pt"
    )
    ids = clap.caption_encoder.tokenizer(captions[0])["input_ids"]
    assert ids == [101, 2023, 2003, 1037, 2614, 1997, 3899, 102]
    expected = clap.caption_encoder.projection(bert(**tokens)[0][:, 0])
    encoded = clap.encode_captions(captions)
    assert torch.allclose(encoded.whole, expected, atol=1e-4)
    prompts = clap.encode_prompts(
        clap.embed_words("this is a sound of"),
        clap.tokenize_class_names(["dog"]),
    )
    assert torch.allclose(prompts[0], expected[0], atol=1e-4)
    path.unlink()


@torch.no_grad()
def test_ms_clap_2023_of_the_real_size_gives_msclaps_embeddings(
    tmp_path, warned
):
    path = tmp_path / "CLAP_weights_2023.pth"
    tokens = [*bytes_to_unicode().values(), "<|endoftext|>"]
    vocab = {token: index for index, token in enumerate(tokens)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    with no_init_weights():
        source = MsClap2023()
    block = "caption_encoder.base.h.0.attn"
    _write(
        fill_at_random(source),
        path,
        {
            f"{block}.bias": torch.ones(1, 1, 1024, 1024, dtype=torch.uint8),
            f"{block}.masked_bias": torch.tensor(-1e4),
        },
    )
    del source

    clap = load_clap("ms-2023", weights=path)

    assert not warned
    assert (clap.embed_dim, clap.token_dim) == (1024, 768)
    wavs = 0.1 * torch.randn(1, 44100)
    theirs = _msclaps_audio_encoder(
        path, "HTSAT", 768, 1024, 44100, 1024, 320, 64, 50, 8000, 527
    )
    audio = clap.encode_audio(wavs, torch.ones(1))
    assert torch.allclose(audio.whole, theirs(wavs)[0], atol=1e-5)
    del theirs

    captions = ["this is a sound of dog", "rain"]
    with no_init_weights():
        gpt2 = GPT2Model(GPT2Config()).eval()
    gpt2.load_state_dict(
        {
            key: value
            for key, value in _read_part(path, "caption_encoder.base.").items()
            if not key.endswith((".attn.bias", ".masked_bias"))
        }
    )
    # As in msclap's wrapper and text tower.
    batch = clap.caption_encoder.tokenizer(
        [f"{caption} <|endoftext|>" for caption in captions],
        padding="max_length",
        max_length=77,
        return_tensors="pt",
    )
    last = torch.ne(batch["input_ids"], 0).sum(-1) - 1
    states = gpt2(**batch)[0][torch.arange(2), last]
    expected = clap.caption_encoder.projection(states)
    encoded = clap.encode_captions(captions)
    assert torch.allclose(encoded.whole, expected, atol=1e-4)
    prompts = clap.encode_prompts(
        clap.embed_words("this is a sound of"),
        clap.tokenize_class_names(["dog"]),
    )
    assert torch.allclose(prompts[0], expected[0], atol=1e-4)
    path.unlink()


def test_2023_without_gpt2s_vocabulary_says_where_to_put_it(
    tmp_path, monkeypatch
):
    def missing(repo_id, filename, wanted, ways_out):
        raise InputError(f"{wanted}: {filename} of {repo_id}; {ways_out}")

    monkeypatch.setattr("afpt_plugin.backbones.ms_clap.find_on_hub", missing)
    (tmp_path / "x.pth").touch()
    with pytest.raises(InputError) as error:
        load_clap("ms-2023", weights=tmp_path / "x.pth")
    message = str(error.value)
    assert "vocab.json of gpt2" in message
    assert f"beside the weights of ms-2023 ({tmp_path})" in message
