"""Tests of afpt_plugin.inference on a tiny CLAP: the Brain's scores, anywhere.

Its frames are 0.1 s long and know nothing of each other, so that every score
of a frame can be computed by hand.
"""

import dataclasses
import re

import pytest
import soundfile
import speechbrain as sb
import torch
from common import cases
from speechbrain.utils.fetching import FetchConfig
from torch.nn.functional import normalize

from afpt_plugin.brain import AdaptationBrain
from afpt_plugin.data import decoding
from afpt_plugin.data.datasets import recording_dataset
from afpt_plugin.errors import InputError
from afpt_plugin.export import write_export
from afpt_plugin.files import file_sha256
from afpt_plugin.inference import PromptedClassifier
from afpt_plugin.learners import LEARNERS, LabeledItems, PromptLearner, Template
from afpt_plugin.results.run import RunResults
from afpt_plugin.task import Task

NAMES = ["dog", "rain", "bell"]
CLIP_SECONDS = 1.0
RATE = 800


@pytest.fixture
def learner(clap):
    """Contexts that differ from each other, and an anchor."""
    generator = torch.Generator().manual_seed(0)
    shots = LabeledItems(torch.randn(3, 16, generator=generator), torch.eye(3))
    learner = PromptLearner(n_ctx=4, seed=1, anchor=0.5)
    return learner.setup(clap, NAMES, shots, logit_scale=20.0).eval()


@pytest.fixture
def export(clap, learner, tmp_path):
    return save(tmp_path / "export", clap, learner)


def save(folder, clap, learner, class_names=NAMES, channels="mean", **changes):
    options = {"clip_seconds": CLIP_SECONDS, **changes}
    task = Task("tiny", class_names, **options)
    return write_export(
        folder, clap, learner, task, Template(), channels=channels
    )


@pytest.fixture
def classifier(export, clap):
    return load(export, clap)


def load(source, clap, **options):
    return PromptedClassifier.from_hparams(
        source, clap=clap, run_opts={"device": "cpu"}, **options
    )


def noise(seconds, seed=0, channels=1, rate=RATE):
    """A recording, [samples, channels]."""
    generator = torch.Generator().manual_seed(seed)
    n_samples = round(seconds * rate)
    return 0.1 * torch.randn(n_samples, channels, generator=generator)


def record(folder, seconds, name="a.wav", rate=RATE, **options):
    sig = noise(seconds, rate=rate, **options).numpy()
    subtype = "FLOAT" if name.endswith(".wav") else None
    soundfile.write(folder / name, sig, rate, subtype)
    return folder / name


def brain_logits(clap, learner, paths, folder):
    """What the Brain predicts for each of them, [1, 3] a head."""
    rows = [
        {"ID": path.stem, "wav": str(path), "label": "dog"}
        | {"sha256": file_sha256(path)}
        for path in paths
    ]
    test = recording_dataset(
        clap, rows, NAMES, folder / "features", CLIP_SECONDS, batch_size=1
    )
    brain = AdaptationBrain(
        Task("tiny", NAMES, clip_seconds=CLIP_SECONDS),
        clap,
        Template().setup(clap, NAMES),
        RunResults(folder, None),
        {},
        test,
        {"batch_size": 1},
        modules={"learner": learner},
        run_opts={"device": "cpu"},
    )
    brain.modules.eval()
    with torch.no_grad():
        return [
            brain.compute_forward(batch, sb.Stage.TEST)
            for batch in brain.test_loader
        ]


def test_channels_are_read_as_the_run_read_them(clap, learner, tmp_path):
    path = record(tmp_path, 1.0, "stereo.wav", channels=2)
    for channels, n_samples in (("mean", RATE), ("concatenate", 2 * RATE)):
        folder = save(tmp_path / channels, clap, learner, channels=channels)
        assert len(load(folder, clap).load_audio(path)) == n_samples


def test_the_logits_are_the_brains_to_the_bit(
    clap, learner, classifier, tmp_path
):
    paths = [
        record(tmp_path, 1.0, "a.wav", seed=1),
        record(tmp_path, 0.37, "b.wav", seed=2),
        record(tmp_path, 3.3, "c.wav", seed=3),
        record(tmp_path, 1.0, "d.wav", seed=4, channels=2),
        record(tmp_path, 1.2, "e.flac", seed=5, rate=1100),
    ]
    wanted = brain_logits(clap, learner, paths, tmp_path)
    sigs = [classifier.load_audio(path) for path in paths]
    for sig, heads in zip(sigs, wanted, strict=True):
        sig = sig[: classifier.clip_samples]
        found = classifier.logits_batch(sig)
        for head in ("coarse", "fine"):
            assert torch.equal(found[head], heads[head])
        ensemble = heads["coarse"] + heads["fine"]
        assert torch.equal(found["ensemble"], ensemble)
        (scores,) = classifier.score_recordings([sig])
        assert torch.equal(scores.logits, ensemble)
        assert ensemble.std() > 0.1  # not all the same
    together = classifier.score_recordings(sigs, batch_size=2)
    torch.testing.assert_close(
        torch.cat([found.logits[:1] for found in together]),
        torch.cat([heads["coarse"] + heads["fine"] for heads in wanted]),
        rtol=0,
        atol=1e-5,
    )


def test_a_long_file_is_scored_as_its_samples_are(
    classifier, tmp_path, monkeypatch
):
    """Block by block, with the same windows and batches."""
    path = record(tmp_path, 7.3, rate=1100, channels=2)
    (wanted,) = classifier.score_recordings([classifier.load_audio(path)])
    monkeypatch.setattr(decoding, "WHOLE", 2000)
    monkeypatch.setattr(decoding, "BLOCK", 2000)
    recording = classifier.open_recording(path)
    (found,) = classifier.score_recordings([recording])
    assert not recording.is_short and recording.n_samples == 7.3 * RATE
    assert found.seconds == wanted.seconds
    for one, other in ((found, wanted), (found.frames, wanted.frames)):
        torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=1e-4)


def test_no_class_is_claimed_for_silence(classifier, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, [0.0] * RATE, RATE)
    scores = classifier.classify_file(path)
    assert scores.text_lab == [None] and scores.index.tolist() == [-1]
    scores = classifier.classify_file(path, top_k=2)
    assert scores.text_lab == [[None, None]]
    assert scores.out_prob.exp().tolist() == [pytest.approx([1 / 3] * 3)]
    recording = classifier.open_recording(record(tmp_path, 0.5))
    classifier.score_recordings([recording])
    assert classifier.flags(recording) == ["looped"]


class WholeOnly(Template):
    def forward(self, item, classes):
        return {"coarse": super().forward(item, classes)["coarse"]}


def test_a_learner_needs_no_fine_scores(clap, tmp_path, monkeypatch):
    monkeypatch.setitem(LEARNERS, "WholeOnly", WholeOnly)
    learner = WholeOnly(["dog {}", "a {}"]).setup(clap, NAMES)
    classifier = load(save(tmp_path / "e", clap, learner), clap)
    path = record(tmp_path, 2.5)
    sigs = [classifier.load_audio(path)]
    (windows,), (found,) = (
        classifier.encode_windows(sigs),
        classifier.score_recordings(sigs),
    )
    logits = learner(windows, learner.classes(clap))["coarse"]
    torch.testing.assert_close(found.logits, logits)
    out_prob = classifier.classify_file(path).out_prob[0]
    torch.testing.assert_close(out_prob, found.mean_logits().log_softmax(0))
    assert classifier.heads == ("coarse",) and found.frames is None
    with pytest.raises(InputError, match="WholeOnly"):
        classifier.frame_scores(path)


def test_a_batch_is_classified_as_speechbrain_does(
    clap, learner, classifier, tmp_path
):
    wavs = torch.stack([noise(1.0, seed)[:, 0] for seed in range(4)])
    logits = classifier.logits_batch(wavs)["ensemble"]
    out_prob, score, index, text_lab = classifier.classify_batch(wavs)
    torch.testing.assert_close(out_prob, (logits / 2).log_softmax(1))
    assert out_prob.shape == (4, 3)
    assert torch.equal(score, out_prob.max(1).values)
    assert torch.equal(index, out_prob.argmax(1))
    assert text_lab == [NAMES[i] for i in index]
    assert torch.equal(classifier(wavs).out_prob, out_prob)
    assert len(classifier.classify_batch(wavs[0]).text_lab) == 1
    folder = save(tmp_path / "e", clap, learner, multi_label=True)
    out_prob = load(folder, clap).classify_batch(wavs).out_prob
    wanted = torch.sigmoid(logits / 2).log()
    torch.testing.assert_close(out_prob, wanted)


def test_padding_has_no_say(classifier):
    short, long = noise(0.6, 1)[:, 0], noise(1.0, 2)[:, 0]
    padded = torch.cat([short, torch.zeros(len(long) - len(short))])
    lens = torch.tensor([len(short) / len(long), 1.0])
    found = classifier.classify_batch(torch.stack([padded, long]), lens)
    alone = [classifier.classify_batch(sig).out_prob for sig in (short, long)]
    torch.testing.assert_close(found.out_prob, torch.cat(alone))


@cases(
    "wavs, lens, message",
    (torch.ones(1, 2, 800), None, r"the shape \[1, 2, 800\]"),
    (torch.ones(1, 0), None, r"the shape \[1, 0\]"),
    (torch.ones(0, 9), None, r"the shape \[0, 9\]"),
    (torch.ones(1, 9).numpy(), None, "wavs is of type ndarray"),
    (torch.ones(1, 9).short(), None, "wavs are torch.int16"),
    (None, None, "wavs is of type NoneType"),
    (torch.ones(1, 9), [1.0], "lens is of type list"),
    (torch.full((1, 800), torch.nan), None, "not finite"),
    (torch.ones(2, 800), torch.ones(1), "2 relative lengths"),
    (torch.ones(2, 800), torch.tensor([0.5, 800]), "relative lengths"),
)
def test_a_batch_that_is_none_is_refused(classifier, wavs, lens, message):
    with pytest.raises(InputError, match=message):
        classifier.encode_batch(wavs, lens)


def test_a_waveform_with_channels_or_without_samples_is_refused(classifier):
    for sig in (torch.empty(0), noise(1.0)):
        with pytest.raises(InputError, match="number 2 has the shape"):
            classifier.score_recordings([noise(1.0)[:, 0], sig])


def test_a_file_names_its_best_classes(classifier, tmp_path):
    path = record(tmp_path, 1.0)
    out_prob, score, index, text_lab = classifier.classify_file(path)
    assert out_prob.shape == (1, 3) and score.shape == index.shape == (1,)
    best = classifier.classify_file(str(path), top_k=2)
    assert best.score.shape == (1, 2)
    assert best.text_lab[0][0] == text_lab[0] == NAMES[index.item()]
    assert best.score[0, 0] > best.score[0, 1]
    for top_k in (0, 4, 1.0, True):
        with pytest.raises(InputError, match="top_k"):
            classifier.classify_file(path, top_k=top_k)


def test_a_long_recording_is_cut_into_windows(classifier, tmp_path):
    """The last ends with it; the mean weighs what each adds."""
    path = record(tmp_path, 2.35)
    sig = classifier.load_audio(path)
    (found,) = classifier.score_recordings([sig])
    assert found.seconds == 2.35
    assert found.start.tolist() == pytest.approx([0, 1, 1.35])
    assert found.weight.tolist() == pytest.approx(
        [1 / 2.35, 1 / 2.35, 0.35 / 2.35]
    )
    windows = torch.stack([sig[:800], sig[800:1600], sig[-800:]])
    wanted = classifier.classify_batch(windows).out_prob
    rows = classifier.classify_file(path, per_window=True)
    torch.testing.assert_close(rows.out_prob, wanted)
    assert len(rows.text_lab) == 3
    mean = found.weight @ classifier.logits_batch(windows)["ensemble"]
    torch.testing.assert_close(
        classifier.classify_file(path).out_prob[0], (mean / 2).log_softmax(0)
    )


def by_hand(clap, classifier, frames):
    """Scaled cosines of frames of 80 samples, [T, 3]."""
    embedded = clap.encode_audio(frames.flatten()[None], torch.ones(1)).parts
    return 20.0 * (
        normalize(embedded[0], dim=1)
        @ normalize(classifier.classes.fine, dim=1).T
    )


def test_frames_of_a_long_recording_follow_each_other(clap, classifier):
    """Each once, though the last window overlaps the one before."""
    sig, times = noise(2.4)[:, 0], 0.1 * torch.arange(24)
    frames = classifier.score_recordings([sig])[0].frames
    torch.testing.assert_close(frames.center.float(), times + 0.05)
    torch.testing.assert_close(frames.start.float(), times)
    extent = torch.stack([times, times + 0.1], 1)
    torch.testing.assert_close(frames.extent.float(), extent)
    wanted = by_hand(clap, classifier, sig)
    torch.testing.assert_close(frames.logits, wanted, rtol=0, atol=1e-5)


def test_repeats_of_a_short_recording_have_no_frames(classifier):
    """It was looped to a clip, but is over after 0.32 s."""
    long, short = classifier.score_recordings(
        [noise(0.32)[:, 0], noise(0.01)[:, 0]]
    )
    assert long.frames.center.tolist() == pytest.approx([0.05, 0.15, 0.25])
    assert long.weight.tolist() == [1.0]
    # Shorter than half a frame: one is left, and it lies within
    assert short.frames.logits.shape == (1, 3)
    assert short.frames.center.tolist() == [0.01]
    # Together they reach to the end of the sound, and not beyond
    assert long.frames.extent[-1].tolist() == pytest.approx([0.2, 0.32])
    assert short.frames.extent.tolist() == [[0, 0.01]]


def test_a_backbone_that_knows_its_frames_is_asked(clap, classifier):
    """Frames need not be spread evenly, nor come in order."""
    centers = 80.0 * torch.arange(10).flip(0)
    object.__setattr__(clap, "frame_centers", lambda n, t: centers)
    sig = noise(1.0)[:, 0]
    frames = classifier.score_recordings([sig])[0].frames
    assert frames.center.tolist() == pytest.approx([0.1 * t for t in range(10)])
    wanted = by_hand(clap, classifier, sig).flip(0)
    torch.testing.assert_close(frames.logits, wanted, rtol=0, atol=1e-5)


def test_the_contexts_serve_other_classes(clap, learner, classifier, tmp_path):
    names = ["soft rain", "loud dog"]
    wavs = noise(1.0)[:, 0]
    before = classifier.classify_batch(wavs).out_prob
    other = classifier.with_class_names(names)
    # They have no captions of their own, so they are anchored to the template.
    wanted = learner.with_class_names(
        clap, names, Template().setup(clap, names).classes(clap)
    )
    wanted = load(save(tmp_path / "e", clap, wanted, names), clap)
    assert other.class_names == names
    wanted = wanted.classify_batch(wavs).out_prob
    assert torch.equal(other.classify_batch(wavs).out_prob, wanted)
    assert other.mods.clap is classifier.mods.clap
    assert torch.equal(classifier.classify_batch(wavs).out_prob, before)
    for wrong in ([], ["dog", "dog"], "dog", [""]):
        with pytest.raises(InputError, match="class name"):
            classifier.with_class_names(wrong)


def test_where_nothing_is_heard_there_is_no_frame(clap, classifier):
    """A silent start is left out; one frame is there at least."""
    encode = clap.encode_audio

    def silent_at_first(wavs, lens):
        audio = encode(wavs, lens)
        heard = (wavs.unflatten(1, (-1, 80)) != 0).any(-1)
        heard[:, -1] |= ~heard.any(1)
        return audio._replace(mask=heard)

    clap.encode_audio = silent_at_first
    sig = torch.cat([torch.zeros(400), torch.ones(400)])
    (scores,) = classifier.score_recordings([sig])
    assert scores.frames.center.min() > 0.5
    assert len(scores.frames.center) == 5
    assert scores.frames.extent[0].tolist() == pytest.approx([0.5, 0.6])
    (scores,) = classifier.score_recordings([torch.zeros(800)])
    assert len(scores.frames.center) == 1


def test_the_backbone_is_loaded_by_name(clap, export):
    with pytest.raises(InputError, match="'tiny' is unknown"):
        PromptedClassifier.from_hparams(export, run_opts={"device": "cpu"})
    with pytest.raises(InputError, match="already built"):
        load(export, clap, weights="w.pth")


def hub_cache(folder, export):
    repo = folder / "models--someone--sounds"
    snapshot = repo / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    for path in export.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    return FetchConfig(huggingface_cache_dir=str(folder))


def test_a_repository_of_the_hub_needs_no_network_once_cached(
    clap, export, tmp_path, monkeypatch
):
    config = hub_cache(tmp_path / "hub", export)
    wavs = noise(1.0)[:, 0]
    wanted = load(export, clap).classify_batch(wavs).out_prob
    found = load("someone/sounds", clap, fetch_config=config)
    assert torch.equal(found.classify_batch(wavs).out_prob, wanted)
    savedir = tmp_path / "saved"
    load("someone/sounds", clap, fetch_config=config, savedir=savedir)
    assert (savedir / "hyperparams.yaml").exists()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = dataclasses.replace(config, allow_network=False)
    with pytest.raises(InputError, match="someone/else: neither a folder"):
        load("someone/else", clap, fetch_config=config)


def test_a_savedir_links_and_never_mixes_two_exports(
    clap, learner, export, tmp_path
):
    # SpeechBrain would take what is there already.
    savedir = tmp_path / "saved"
    assert load(export, clap, savedir=savedir).class_names == NAMES
    assert (savedir / "hyperparams.yaml").is_symlink()
    assert load(export, clap, savedir=savedir).class_names == NAMES
    other = save(tmp_path / "other", clap, learner, clip_seconds=2.0)
    with pytest.raises(InputError, match="is another export's"):
        load(other, clap, savedir=savedir)


@pytest.mark.parametrize("source", ["nowhere", "/no/such/export", "a/b/c"])
def test_a_missing_folder_is_not_asked_of_the_hub(clap, source, monkeypatch):
    monkeypatch.setattr(
        "afpt_plugin.inference.fetch_file", lambda *args, **options: 1 / 0
    )
    with pytest.raises(InputError, match=re.escape(source)):
        load(source, clap)
