"""Equality with the authors' implementation, number by number.

The numbers are in tests/samples/golden, whose README defines the model (weights
filled by a formula) and says what each array is; ``AFPT_GOLDEN`` names another
file.
"""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from afpt_plugin.backbones.base import ClassTokens
from afpt_plugin.learners.prompts import PromptLearner
from afpt_plugin.losses import ranking_loss
from afpt_plugin.similarity import ensemble_logits

DEFAULT = Path(__file__).parents[1] / "samples/golden/upstream_golden.npz"
GOLDEN = Path(os.environ.get("AFPT_GOLDEN", DEFAULT))


def fill(name, shape, salt):
    """Weights by formula, as the golden file's README defines them."""
    seed = zlib.crc32(f"{salt}:{name}".encode())
    noise = np.random.default_rng(seed).standard_normal(shape)
    noise = noise.astype(np.float32)
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_mean":
        return 0.1 * noise
    if leaf == "running_var":
        return 1 + 0.2 * np.abs(noise)
    if len(shape) == 1:
        return 0.1 * noise if leaf == "bias" else 1 + 0.1 * noise
    if "embeddings" in name:
        return noise
    gain = 2.0 if len(shape) == 4 else 1.0
    return noise * np.sqrt(gain / np.prod(shape[1:]))


@pytest.fixture(scope="module")
def golden():
    """The golden arrays, as tensors."""
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def clap(golden, msclap):
    """The golden model: every size comes from the file or its README."""
    from transformers import BertConfig

    from afpt_plugin.backbones.ms_clap import MsClap2022

    clap = MsClap2022(
        text_config=BertConfig(
            vocab_size=200,
            hidden_size=golden["coarse_ctx"].shape[1],
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        ),
        embed_dim=golden["caption_embed"].shape[1],
    )
    kept = ("spectrogram_extractor", "logmel_extractor", "logit_scale")
    salt = int(golden["salt"])
    for name, tensor in clap.state_dict().items():
        if tensor.dtype == torch.float32 and not any(k in name for k in kept):
            values = fill(name, tuple(tensor.shape), salt)
            tensor.copy_(torch.from_numpy(np.asarray(values, np.float32)))
    return clap.freeze()


class GoldenTokens:
    """Stands in for a backbone's tokenizer: the file holds token ids."""

    def __init__(self, clap, golden):
        self.clap = clap
        self.tokens = ClassTokens(
            golden["class_input_ids"], golden["class_attention_mask"]
        )

    def __getattr__(self, name):
        return getattr(self.clap, name)

    def tokenize_class_names(self, class_names):
        """The file's class tokens, whatever the names."""
        return self.tokens


@pytest.fixture
def learner(clap, golden):
    """A PromptLearner as upstream_exact makes it, with the file's contexts."""
    n_ctx = len(golden["coarse_ctx"])
    learner = PromptLearner(n_ctx=n_ctx, embed_twice=True, padding_weight=True)
    learner.setup(GoldenTokens(clap, golden), ["unused"])
    with torch.no_grad():
        learner.ctx_coarse.copy_(golden["coarse_ctx"])
        learner.ctx_fine.copy_(golden["fine_ctx"])
    return learner.eval()


def assert_equal(value, expected, rtol=1e-4, atol=2e-6):
    """Equal within what the golden file's README allows."""
    torch.testing.assert_close(
        value.detach().to(expected.dtype), expected, rtol=rtol, atol=atol
    )


@pytest.fixture(scope="module")
def captions(clap, golden):
    tokens = ClassTokens(
        golden["caption_input_ids"], golden["caption_attention_mask"]
    )
    with torch.no_grad():
        return clap.caption_encoder.encode(tokens)


@pytest.fixture(scope="module")
def recordings(clap, golden):
    wavs = golden["wav_int16"].float() / 32768
    with torch.no_grad():
        return clap.encode_audio(wavs, torch.ones(len(wavs)))


def test_class_embeddings_equal_the_authors(clap, golden, learner):
    """Context after CLS, embedded twice."""
    coarse, fine = learner.classes(clap)
    assert_equal(coarse, golden["class_embed_coarse"])
    assert_equal(fine, golden["class_embed_fine"])


def test_caption_and_word_embeddings_equal_the_authors(captions, golden):
    """Sentence, and words with the padding."""
    assert_equal(captions.whole, golden["caption_embed"])
    assert_equal(captions.parts, golden["word_embed"])


def test_clip_and_frame_embeddings_equal_the_authors(recordings, golden):
    """Clip, and frames after the authors' pooling."""
    assert_equal(recordings.whole, golden["audio_clip_embed"])
    assert_equal(recordings.parts, golden["audio_frame_embed"])


def test_logit_scale_equals_the_authors(clap, golden):
    assert clap.logit_scale == pytest.approx(float(golden["logit_scale"]))


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_all_logits_equal_the_authors(
    clap, golden, learner, captions, recordings, kind
):
    learner.logit_scale = clap.logit_scale if kind == "single" else 1.0
    for side, item in (("tt", captions), ("at", recordings)):
        logits = learner(item, learner.classes(clap))
        assert_equal(logits["coarse"], golden[f"{side}_coarse_{kind}"])
        assert_equal(logits["fine"], golden[f"{side}_fine_{kind}"])
        if side == "at":
            assert_equal(
                ensemble_logits(logits["coarse"], logits["fine"]),
                golden[f"at_ensemble_{kind}"],
            )


@pytest.mark.parametrize("kind", ["single", "multi"])
def test_losses_gradients_and_three_steps_equal_the_authors(
    clap, golden, learner, captions, kind
):
    """Three full-batch steps of AdamW with the paper's settings."""
    if kind == "single":
        loss_of, targets = cross_entropy, golden["targets"]
        learner.logit_scale = clap.logit_scale
    else:
        loss_of, targets = ranking_loss, golden["multi_targets"]
        learner.logit_scale = 1.0
    optimizer = torch.optim.AdamW(
        learner.parameters(), lr=0.002, betas=(0.9, 0.98), eps=1e-6
    )
    for step in range(3):
        logits = learner(captions, learner.classes(clap))
        losses = [loss_of(logits[h], targets) for h in ("coarse", "fine")]
        assert_equal(torch.stack(losses), golden[f"losses_{kind}"][step])
        optimizer.zero_grad()
        sum(losses).backward()
        if step == 0:
            for head in ("coarse", "fine"):
                assert_equal(
                    getattr(learner, f"ctx_{head}").grad,
                    golden[f"grad_{head}_{kind}"],
                    rtol=1e-3,
                )
        optimizer.step()
    for head in ("coarse", "fine"):
        assert_equal(
            getattr(learner, f"ctx_{head}"),
            golden[f"ctx_after3_{head}_{kind}"],
            rtol=1e-3,
        )
