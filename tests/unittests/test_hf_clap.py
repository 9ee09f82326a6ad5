"""CLAPs of transformers: its own numbers, and none of its randomness."""

import copy
import shutil

import numpy as np
import pytest
import torch
from common import refused
from huggingface_hub import constants, utils
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch.nn.functional import normalize
from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

from afpt_plugin.backbones import load_clap

RATE = 48000
TEMPLATE = "this is a sound of"
NAMES = ["dog", "a baby's cry, far away", "rain"]
TEXT = {
    "vocab_size": 260,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 100,
}
AUDIO = {
    "patch_embeds_hidden_size": 8,
    "hidden_size": 64,
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 4, 8],
}
FUSION = {"enable_fusion": True, "fusion_type": "aff_2d"}


def write_folder(folder, text, audio, fused):
    """What ``save_pretrained`` leaves of a model of random weights."""
    torch.manual_seed(0)
    audio = audio | (FUSION if fused else {})
    config = ClapConfig(
        text_config=text, audio_config=audio, projection_dim=24 if text else 512
    )
    model = ClapModel(config)
    for key, value in model.state_dict().items():
        if key.endswith("running_mean"):
            value.normal_(-20, 3)  # decibels
        elif key.endswith("running_var"):
            value.uniform_(100, 400)
        elif "relative_position_bias" in key or key.endswith("bias"):
            value.normal_(0, 0.2)
        elif "embeddings" in key and value.is_floating_point():
            value.normal_(0, 0.5)
        elif key.endswith("weight") and value.dim() > 1:
            value.normal_(0, value[0].numel() ** -0.5)
    model.logit_scale_a.data.fill_(3.0)
    model.eval().save_pretrained(folder)
    ClapFeatureExtractor(
        frequency_min=50, truncation="fusion" if fused else "rand_trunc"
    ).save_pretrained(folder)
    tokens = ["<s>", "<pad>", "</s>", "<unk>"]
    tokens += sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=False
    )
    tokenizer.add_special_tokens(tokens[:4])
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


class Pair:
    """transformers' model in a folder, and ours of it."""

    def __init__(self, folder, text=TEXT, audio=AUDIO, fused=False):
        self.folder = folder
        self.model = write_folder(folder, text, audio, fused)
        self.extractor = ClapFeatureExtractor.from_pretrained(folder)
        self.clap = load_clap(folder)

    @torch.no_grad()
    def their_text(self, texts):
        """``get_text_features``, one text after the other, without padding."""
        tokenizer = self.clap.caption_encoder.tokenizer
        batches = (tokenizer(text, return_tensors="pt") for text in texts)
        return torch.cat([self.features("text", **batch) for batch in batches])

    @torch.no_grad()
    def their_audio(self, wav):
        """``get_audio_features``, with middle crops, long ones fused alone."""
        options = {"sampling_rate": RATE, "return_tensors": "pt"}
        batch = self.extractor(wav.numpy(), **options)
        batch["is_longer"] = torch.tensor([[len(wav) > 10 * RATE + 479]])
        return self.features("audio", **batch)

    def features(self, kind, **batch):
        """Of transformers 4 or 5, which puts them into an object."""
        batch.pop("token_type_ids", None)
        found = getattr(self.model, f"get_{kind}_features")(**batch)
        return getattr(found, "pooler_output", found)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A tiny CLAP that does not fuse."""
    return Pair(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def fused(tmp_path_factory):
    """A tiny CLAP that fuses."""
    return Pair(tmp_path_factory.mktemp("fused"), fused=True)


@pytest.fixture(params=["plain", "fused"])
def pair(request):
    """Each of the two."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def middle(monkeypatch):
    """Let transformers draw what lies in the middle."""
    monkeypatch.setattr(np.random, "choice", lambda a: a[len(a) // 2])


def make_wav(seconds, seed=0):
    torch.manual_seed(seed)
    return 0.1 * torch.randn(round(seconds * RATE)).cumsum(0).sin()


def embed(clap, *wavs):
    longest = max(map(len, wavs))
    padded = [torch.nn.functional.pad(w, (0, longest - len(w))) for w in wavs]
    lens = torch.tensor([len(w) / longest for w in wavs])
    return clap.encode_audio(torch.stack(padded), lens)


def assert_near(found, expected, atol=1e-5):
    torch.testing.assert_close(found, expected, atol=atol, rtol=0)


def check_texts(pair):
    """Captions and prompts, against ``get_text_features``."""
    captions = [f"{TEMPLATE} {name}" for name in NAMES]
    expected = pair.their_text(captions)
    encoded = pair.clap.encode_captions(captions)
    assert_near(normalize(encoded.whole, dim=-1), expected)
    ctx = pair.clap.embed_words(TEMPLATE)
    tokens = pair.clap.tokenize_class_names(NAMES)
    prompts = pair.clap.encode_prompts(ctx, tokens)
    assert_near(normalize(prompts, dim=-1), expected)
    assert (expected[0] - expected[1]).abs().max() > 1e-3


def test_texts_are_transformers_and_a_context_of_words_is_the_template(pair):
    check_texts(pair)


def test_words_go_the_way_of_the_sentence(plain):
    captions = plain.clap.encode_captions(["dog", "rain on"])
    assert captions.mask.tolist() == [[True] * 4 + [False] * 4, [True] * 8]
    tokens = plain.clap.caption_encoder.tokenize(["rain on"])
    model = plain.model
    states = model.text_model(**tokens._asdict())[0][0, 1:]
    hidden = model.text_model.pooler.dense(states).tanh()
    assert_near(captions.parts[1], model.text_projection(hidden))
    longest = plain.clap.caption_encoder.tokenize(["dog " * 50])
    assert longest.input_ids.shape == (1, 77) and longest.input_ids[0, -1] == 2


def test_prompts_and_gradients_are_those_of_transformers_layers(plain):
    """Shared, of several contexts, of each class its own; in any chunks."""
    tower = plain.clap.caption_encoder
    tokens = tower.tokenize_class_names(NAMES)
    torch.manual_seed(1)
    for shape in ((5,), (2, 5), (2, 3, 5)):
        ctx = (0.5 * torch.randn(*shape, 32)).requires_grad_()
        every = ctx.reshape(-1, 1, 5, 32) if len(shape) < 3 else ctx
        rows = []
        for own in every.expand(-1, 3, -1, -1).flatten(0, 1).split(3):
            for context, ids, mask in zip(own, *tokens, strict=True):
                name = tower.base.embeddings.word_embeddings(ids[mask.bool()])
                prompt = torch.cat([name[:1], context, name[1:]])[None]
                states = tower.base(inputs_embeds=prompt)[0][:, 0]
                rows.append(tower.projection(states))
        expected = torch.cat(rows).reshape(*shape[:-1][:1], 3, 24)
        weights = torch.randn_like(expected)
        (their,) = torch.autograd.grad((expected * weights).sum(), ctx)
        for size in (None, 2):
            chunks = {"classes_per_chunk": size}
            ours = plain.clap.encode_prompts(ctx, tokens, **chunks)
            (our,) = torch.autograd.grad((ours * weights).sum(), ctx)
            assert_near(ours, expected)
            assert_near(our, their, atol=1e-5 * float(their.abs().max()))
    assert all(p.grad is None for p in plain.clap.parameters())
    with refused("55 vectors", "at most 77", "lower n_ctx"):
        plain.clap.encode_prompts(torch.zeros(55, 32), tokens)
    with refused("double embedding exists for BERT only"):
        plain.clap.encode_prompts(ctx, tokens, embed_twice=True)


@pytest.mark.parametrize("seconds", [1e-4, 0.7, 5, 9.99, 10, 10.005])
def test_clips_are_transformers_whatever_their_length(pair, middle, seconds):
    wav = make_wav(seconds)
    # Of a lower rate: nothing in the upper bands.
    wav = torch.fft.irfft(torch.fft.rfft(wav)[: len(wav) // 6 + 1], len(wav))
    audio = embed(pair.clap, wav)
    wav = wav[: 10 * RATE]
    assert_near(normalize(audio.whole, dim=-1), pair.their_audio(wav))
    assert audio.parts.shape == (1, 32, 24)
    real = [n == 0 or n * 0.3128 + 0.1515 < seconds for n in range(32)]
    assert audio.mask[0].tolist() == real


def test_a_long_recording_is_fused_by_rule_or_cut_into_windows(
    plain, fused, middle
):
    wav = make_wav(23)
    assert_near(
        normalize(embed(fused.clap, wav).whole, dim=-1), fused.their_audio(wav)
    )
    audio = embed(plain.clap, wav)

    def latent(own):
        options = {"sampling_rate": RATE, "return_tensors": "pt"}
        batch = plain.extractor(own.numpy(), **options)
        return plain.model.audio_model(batch["input_features"])

    with torch.no_grad():
        latents = [*map(latent, wav.split(10 * RATE))]
        shares = zip((10 / 23, 10 / 23, 3 / 23), latents, strict=True)
        whole = sum(share * own.pooler_output for share, own in shares)
        assert_near(audio.whole, plain.model.audio_projection(whole))
        frames = torch.cat([own.last_hidden_state for own in latents], dim=3)
        frames = plain.model.audio_projection(frames.mean(2).transpose(1, 2))
    assert_near(audio.parts, frames)
    assert audio.mask.sum() == 64 + 10
    centers = plain.clap.frame_centers(len(wav), 96) / RATE
    expected = torch.tensor([0.1515, 9.8485, 10.1515, 20.1515])
    assert_near(centers[[0, 31, 32, 64]], expected, 1e-3)


@pytest.mark.parametrize("at", [0.4, 2.6, 4.9, 7.3, 9.9])
def test_a_frame_changes_most_where_the_sound_does(pair, at):
    wav = make_wav(10)
    before = embed(pair.clap, wav).parts[0]
    start = round(at * RATE)
    wav[start - 2400 : start + 2400] = make_wav(0.1, seed=1)
    change = (embed(pair.clap, wav).parts[0] - before).norm(dim=-1)
    centers = pair.clap.frame_centers(len(wav), 32) / RATE
    assert (centers[change.argmax()] - at).abs() < 0.3128 / 2 + 0.05


def test_an_embedding_does_not_depend_on_its_batch_or_on_chance(pair):
    wavs = make_wav(3), make_wav(25, 1), make_wav(10, 2), make_wav(3, 3)
    batch = embed(pair.clap, *wavs)
    for number, wav in enumerate(wavs):
        np.random.seed(number)
        alone = embed(pair.clap, wav)
        assert_near(batch.whole[number], alone.whole[0])
        real = batch.mask[number]
        assert_near(batch.parts[number][real], alone.parts[alone.mask])


def test_int16_rounds_as_laions_code_does(plain):
    clap = load_clap(f"{plain.folder}:int16")
    assert clap.name == f"{plain.folder}:int16"
    wav = 3e-4 * make_wav(2)  # ten steps of the rounding
    wav[0] = -1.2
    theirs = (np.clip(wav.numpy(), -1, 1) * 32767.0).astype(np.int16)
    expected = embed(plain.clap, torch.from_numpy(theirs / np.float32(32767)))
    assert_near(embed(clap, wav).whole, expected.whole)
    for other in (wav, (wav.clamp(-1, 1) * 32767).round() / 32767):
        change = embed(plain.clap, other).whole - expected.whole
        assert change.abs().max() > 1e-3
    assert clap.fingerprint != plain.clap.fingerprint


def test_what_is_loaded_is_frozen_and_complete(pair):
    clap, state = pair.clap, copy.deepcopy(pair.clap.state_dict())
    assert (clap.embed_dim, clap.token_dim, clap.sample_rate) == (24, 32, RATE)
    assert (clap.clip_seconds, clap.licence) == (10, "unknown")
    assert clap.logit_scale == pytest.approx(np.exp(3))
    ours, theirs = list(clap.parameters()), list(pair.model.parameters())
    assert sorted(map(torch.sum, ours)) == sorted(map(torch.sum, theirs))
    ctx = torch.zeros(2, 32, requires_grad=True)
    with clap.train().label_dropout():
        tokens = clap.tokenize_class_names(NAMES)
        clap.encode_prompts(ctx, tokens).sum().backward()
    embed(clap, make_wav(1))
    assert not any(p.requires_grad or p.grad is not None for p in ours)
    assert not any(module.training for module in clap.modules())
    for key, value in clap.state_dict().items():
        assert torch.equal(value, state[key]), key


def test_a_checkpoint_in_either_format_is_read_and_a_lack_is_named(
    plain, tmp_path, monkeypatch
):
    shutil.copytree(plain.folder, tmp_path, dirs_exist_ok=True)
    card = b"---\nlicense:\n- 'cc-by-4.0'\n---\nOf a CLAP\xff"
    (tmp_path / "README.md").write_bytes(card)
    (tmp_path / "model.safetensors").unlink()
    path = tmp_path / "pytorch_model.bin"
    with refused(tmp_path, "model.safetensors or pytorch_model.bin"):
        load_clap(tmp_path)
    state = plain.model.state_dict()
    torch.save(state, path)
    clap = load_clap("someone/clap", weights=path)
    assert (clap.name, clap.licence) == ("someone/clap", "cc-by-4.0")
    assert clap.repo_id == clap.name
    assert load_clap(str(tmp_path)).repo_id is None
    assert clap.fingerprint == plain.clap.fingerprint
    assert load_clap("laion", weights=tmp_path).licence == "apache-2.0"
    monkeypatch.chdir(tmp_path.parent)  # an export holds the name alone
    assert load_clap(tmp_path.name).name == f"./{tmp_path.name}"
    del state["text_projection.linear2.bias"]
    torch.save(state, path)
    with refused("lacks 1 of", "text_projection.linear2.bias"):
        load_clap(tmp_path)
    path.rename(tmp_path / "model.safetensors")
    with refused("model.safetensors", "damaged"):
        load_clap(tmp_path)
    for name in ("tokenizer.json", "config.json"):
        (tmp_path / name).unlink()
        with refused(tmp_path, f"lacks {name}"):
            load_clap(tmp_path)
        (tmp_path / name).write_text('{"model_type": "bert"}')
        with refused(tmp_path, "is not a folder of a transformers Clap"):
            load_clap(tmp_path)


def test_the_hubs_cache_is_used_and_without_it_the_ways_out_are_named(
    plain, tmp_path, monkeypatch
):
    class NoNetwork:
        def head(self, url, timeout):
            raise ConnectionError("unreachable")

    monkeypatch.setattr(utils, "get_session", NoNetwork)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("laion-fused", "laion/clap-htsat-fused:int16"):
        fact = "to use laion/clap-htsat-fused"
        with refused(fact, tmp_path, "--weights FOLDER", "mini"):
            load_clap(name)
    with refused("'a/b/c' does not exist", "user/name", "--clap mini"):
        load_clap("a/b/c")
    with refused("laion/clap-htsat-unfused", "'none'", "--weights FOLDER"):
        load_clap("laion", weights="none")
    cached = tmp_path / "models--laion--clap-htsat-unfused"
    shutil.copytree(plain.folder, cached / "snapshots" / "abc")
    (cached / "snapshots" / "abc" / "model.safetensors").unlink()
    path = cached / "snapshots" / "abc" / "pytorch_model.bin"
    torch.save(plain.model.state_dict(), path)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert load_clap("laion").fingerprint == plain.clap.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
def test_a_checkpoint_of_the_real_size_gives_transformers_embeddings(
    tmp_path, middle, fused
):
    pair = Pair(tmp_path, {}, {}, fused)
    (tmp_path / "model.safetensors").unlink()  # of 600 MB
    assert (pair.clap.embed_dim, pair.clap.token_dim) == (512, 768)
    check_texts(pair)
    for seconds in (5, 10, 14) if fused else (5, 10):
        wav = make_wav(seconds)
        audio = embed(pair.clap, wav)
        assert_near(normalize(audio.whole, dim=-1), pair.their_audio(wav))
