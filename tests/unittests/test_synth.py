"""Tests of the generated sounds and of their ESC-50 layout."""

import csv
import os

import joblib
import numpy as np
import pytest
import soundfile

from afpt_plugin.errors import InputError
from afpt_plugin.synth import (
    SOUNDS,
    classes,
    dsp,
    layouts,
    mix,
    render,
    scenes,
    sound,
    write_esc50,
)

RATE = 8000


@pytest.mark.parametrize(
    "table, n_classes",
    [("ESC50", 50), ("US8K", 10), ("FSD2019", 80), ("DCASE2019", 10)],
)
def test_every_class_of_the_benchmarks_has_its_own_generator(table, n_classes):
    sounds = getattr(classes, table)
    assert len(sounds) == len(set(sounds.values())) == n_classes
    assert not set(sounds.values()) - set(SOUNDS)


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_generator_bears_parameters_outside_its_ranges_and_any_length(name):
    for seed, (duration, rate) in enumerate([(0.5, RATE), (7.0, 44100)]):
        rng = scenes.StretchedGenerator(np.random.PCG64(seed), 0.15)
        sig = SOUNDS[name].make(rng, duration, rate)
        assert np.isfinite(sig).all() and len(sig) <= duration * rate


@pytest.mark.parametrize("name", sorted(SOUNDS))
def test_generator_is_finite_audible_varied_and_a_function_of_its_seed(name):
    make = SOUNDS[name].make
    first, again, other = (
        make(np.random.default_rng(seed), 3.0, RATE) for seed in (1, 1, 2)
    )
    for sig in (first, other):
        assert sig.ndim == 1 and len(sig) <= 3 * RATE
        assert np.isfinite(sig).all() and np.abs(sig).max() > 0
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("ranges", ["train", "eval"])
def test_render_is_float32_of_the_asked_length_within_full_scale(ranges):
    for seed in range(8):  # enough seeds to pass every kind of cut and clip
        sig = render("dog", seed, 2.0, RATE, ranges)
        assert sig.shape == (2 * RATE,) and sig.dtype == np.float32
        assert np.isfinite(sig).all() and 0.1 < np.abs(sig).max() <= 1


def test_render_depends_on_name_seed_and_ranges_alone():
    args = {"duration": 1.0, "sample_rate": RATE}
    base = render("rain", 5, **args)
    render("cow", 7, **args)  # what happened before does not matter
    assert np.array_equal(base, render("rain", 5, **args))
    for other in (
        render("rain", 6, **args),
        render("wind", 5, **args),
        render("rain", 5, ranges="eval", **args),
    ):
        assert not np.array_equal(base, other)


def test_train_and_eval_share_no_background_and_no_room():
    train, held_out = scenes.RANGES["train"], scenes.RANGES["eval"]
    assert not set(train["backgrounds"]) & set(held_out["backgrounds"])
    assert train["rt60"][1] <= held_out["rt60"][0]


def test_eval_sources_reach_beyond_the_ranges_of_train():
    def draws(ranges):
        drawn = []

        @sound("test ranges")
        def make(rng, duration, sample_rate):
            drawn.append(rng.uniform(5.0, 6.0))
            assert 0 <= rng.uniform(0, 1) <= 1
            assert ((5 <= (x := rng.uniform(5, 6, 99))) & (x <= 6)).all()
            return np.ones(10)

        try:
            for seed in range(40):
                render("test ranges", seed, 0.1, RATE, ranges)
        finally:
            del SOUNDS["test ranges"]
        return np.array(drawn)

    assert ((draws("train") >= 5) & (draws("train") <= 6)).all()
    outside = (draws("eval") < 5) | (draws("eval") > 6)
    assert 0.05 < outside.mean() < 0.6
    assert (abs(draws("eval") - 5.5) <= 0.66).all()


def test_some_clips_end_in_digital_silence_and_some_do_not():
    silent_end = [
        not render("dog", seed, 3.0, RATE)[-RATE // 10 :].any()
        for seed in range(16)
    ]
    assert any(silent_end) and not all(silent_end)


def test_mix_holds_all_its_sounds():
    # A tone and a higher tone, both visible in the mixture's spectrum.
    def add(name, freq):
        @sound(name)
        def make(rng, duration, sample_rate):
            return dsp.tone(freq, sample_rate, int(duration * sample_rate))

    try:
        add("test low", 500.0)
        add("test high", 1500.0)
        sig = mix(["test low", "test high"], 0, 1.0, RATE, db=3.0)
    finally:
        for name in ("test low", "test high"):
            SOUNDS.pop(name, None)
    spectrum = np.abs(np.fft.rfft(sig))
    typical = np.median(spectrum)
    assert spectrum[495:506].max() > 20 * typical
    assert spectrum[1495:1506].max() > 20 * typical


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: render("dgo", 0), "dgo"),
        (lambda: render("dog", 0, ranges="test"), "eval, train"),
        (lambda: mix([], 0), "at least one"),
        (lambda: render("dog", 0, 1.0, 4000), "at least 8000"),
        (lambda: write_esc50("nowhere", clips_per_class=0), "clips_per_class"),
    ],
)
def test_users_mistakes_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_two_generators_of_one_name_are_refused():
    with pytest.raises(ValueError, match="dog"):
        sound("dog")(lambda rng, duration, sample_rate: None)


def test_a_silent_generator_is_an_error_and_not_a_silent_clip():
    sound("test silence")(lambda rng, duration, rate: np.zeros(10))
    try:
        with pytest.raises(InputError, match="silent"):
            render("test silence", 0, 1.0, RATE)
    finally:
        del SOUNDS["test silence"]


@pytest.mark.parametrize("pitch", [690.0, 997.0])
def test_saw_is_band_limited(pitch):
    n = 16000
    spectrum = np.abs(np.fft.rfft(dsp.saw(pitch, n, n) * np.hanning(n)))
    harmonics = np.zeros(len(spectrum), bool)
    for k in np.arange(pitch, n / 2, pitch).astype(int):
        harmonics[max(k - 3, 0) : k + 4] = True
    harmonics[:4] = True
    # Aliases fall between the harmonics.
    assert spectrum[~harmonics].max() < 0.05 * spectrum.max()


@pytest.mark.parametrize("freq", [300.0, 1000.0, 3800.0])
@pytest.mark.parametrize("width", [20.0, 3000.0, 50000.0])
def test_resonators_are_stable_and_do_not_amplify(freq, width):
    sig = dsp.resonate(np.eye(1, RATE)[0], RATE, [freq], width)
    gain = np.abs(np.fft.rfft(sig))
    assert gain.max() < 1.05 and np.abs(sig[-10:]).max() < 1e-3


def test_colour_is_the_slope_of_the_noise():
    power = np.abs(np.fft.rfft(dsp.noise(np.random.default_rng(0), 2**16, 2.0)))
    low, high = (power[a : 2 * a] ** 2 for a in (1000, 8000))
    decibels = 10 * np.log10(low.mean() / high.mean())
    assert decibels == pytest.approx(2 * 10 * np.log10(8), abs=1.0)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("esc")
    return write_esc50(folder, clips_per_class=1, seed=3, sample_rate=8000)


def _bytes(root):
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def test_esc50_layout_is_the_real_one(generated):
    assert generated.name == "ESC-50-master"
    with open(generated / "meta" / "esc50.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == (
        "filename fold target category esc10 src_file take".split()
    )
    assert {int(row["target"]) for row in rows} == set(range(50))
    assert sum(row["esc10"] == "True" for row in rows) == 10
    for row in rows:
        assert row["category"] == list(classes.ESC50)[int(row["target"])]
        assert row["filename"] == (
            f"{row['fold']}-{row['src_file']}-{row['take']}-{row['target']}.wav"
        )
        info = soundfile.info(generated / "audio" / row["filename"])
        assert (info.frames, info.channels) == (5 * 8000, 1)
        assert info.subtype == "PCM_16"
    assert len(list((generated / "audio").iterdir())) == len(rows)
    assert [p.name for p in generated.parent.iterdir()] == [generated.name]


def test_esc50_again_does_nothing(generated, monkeypatch):
    def refuse(*args):
        raise AssertionError("wrote again")

    monkeypatch.setattr(layouts, "_write_clips", refuse)
    again = write_esc50(
        generated.parent, clips_per_class=1, seed=3, sample_rate=8000
    )
    assert again == generated


def test_esc50_of_the_same_seed_has_the_same_bytes(generated, tmp_path):
    other = write_esc50(tmp_path, clips_per_class=1, seed=3, sample_rate=8000)
    assert _bytes(other) == _bytes(generated)


def test_esc50_is_rewritten_when_incomplete_and_not_left_half_done(
    tmp_path, monkeypatch
):
    def quick(name, seed, duration, rate, ranges):
        return np.random.default_rng(seed).uniform(-1, 1, int(duration * rate))

    monkeypatch.setattr(layouts, "render", quick)
    args = {"clips_per_class": 1, "sample_rate": 8000}
    # Threads see the stand-in, processes would not.
    with joblib.parallel_config(backend="threading"):
        _rewritten(tmp_path, monkeypatch, args)


def _rewritten(tmp_path, monkeypatch, args):
    root = write_esc50(tmp_path, **args)
    victim = next((root / "audio").iterdir())
    before = victim.read_bytes()
    os.remove(victim)
    write_esc50(tmp_path, **args)
    assert victim.read_bytes() == before
    other = write_esc50(tmp_path, seed=1, **args)  # other settings replace it
    assert victim.read_bytes() != before

    def interrupted(root, settings):
        (root / "audio").mkdir(parents=True)
        raise KeyboardInterrupt

    kept = _bytes(other)
    monkeypatch.setattr(layouts, "_write_clips", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_esc50(tmp_path, seed=2, **args)
    assert _bytes(other) == kept
    assert [p.name for p in tmp_path.iterdir()] == ["ESC-50-master"]


def test_a_real_esc50_is_never_overwritten(tmp_path):
    meta = tmp_path / "ESC-50-master" / "meta"
    meta.mkdir(parents=True)
    (meta / "esc50.csv").write_text("filename\n")
    with pytest.raises(InputError, match="not generated here"):
        write_esc50(tmp_path)
    assert (meta / "esc50.csv").read_text() == "filename\n"
