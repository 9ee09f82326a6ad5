"""The benchmark scripts: what they compute, promise and refuse.

Authors
 * The afpt_plugin developers 2026
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from afpt_plugin.backbones import text
from afpt_plugin.errors import InputError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import full_size
import many_classes
import schedule

SMALL = (
    "--n_classes 3 --n_ctx 2 --n_captions 6 --batch_size 2 --n_clips 3 "
    "--fixed_length 30 --steps 2"
).split()
SIZES = "--classes 3 6 --n_ctx 2 --batch_size 2 --steps 2".split()


#: Known to the tiny CLAP, lest all classes look the same.
NAMES = "dog rain bell roof rings barks".split()


@pytest.fixture
def tiny(monkeypatch, clap):
    """Put the tiny CLAP where the scripts build a full-size one."""
    for module in (schedule, many_classes):
        monkeypatch.setattr(module, "build_clap", lambda backbone: clap)
        monkeypatch.setattr(
            module, "make_class_names", lambda n_classes: NAMES[:n_classes]
        )
    return clap


def _run_schedule(folder, *options):
    status = schedule.main([*SMALL, "--output", str(folder), *options])
    return status, json.loads((folder / "schedule.json").read_text())


def test_schedule_writes_what_it_promises(tiny, tmp_path, capsys):
    status, found = _run_schedule(tmp_path, "--whole")
    assert status == 0
    assert found["check"]["equal"]
    assert set(found["schedules"]) == {"authors", "ours fp32", "recipe fp32"}
    assert found["schedules"]["recipe fp32"]["batch_size"] == 4 * 2
    assert set(found["check"]["differences"]) == {"ours fp32"}
    for values in found["schedules"].values():
        assert set(values["parts"]) == set(schedule.STEP_PARTS)
        assert len(values["steps"]) == 2
        assert min(values["parts"].values()) > 0
        assert values["step"] >= max(values["parts"].values())
        assert values["evaluation_per_clip"] > 0
        if sys.platform == "linux":
            assert values["peak_memory_mb"] > 50
    faster = found["step_ratios"]["ours fp32"]["authors"]
    assert faster * found["step_ratios"]["authors"]["ours fp32"] == (
        pytest.approx(1)
    )
    size = found["extrapolated"]["extrapolated_to"]
    assert size == {"epochs": 10, "steps": 36, "clips": 2000, "captions": 72}
    assert found["whole"]["size"]["steps"] == 3
    assert found["whole"]["seconds"]["ours fp32"]["second_seed"] > 0
    assert found["run"]["threads"] == torch.get_num_threads()
    assert found["settings"]["n_ctx"] == 2
    png = (tmp_path / "schedule.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "| **training step** |" in printed
    assert "extrapolated: 10 epochs of 72 captions and 2000 clips" in printed
    assert "really run: 2 epochs of 6 captions and 3 clips" in printed


def test_schedule_of_gpt2_has_the_path_without_shared_prefix(
    tiny, tmp_path, capsys
):
    from transformers import GPT2Config, GPT2Model

    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, initializer_range=0.2)
    tiny.caption_encoder = text.Gpt2TextEncoder(
        GPT2Model(config),
        torch.nn.Linear(32, 16),
        full_size._gpt2_like_tokenizer(),
        16,
    )
    tiny.freeze()
    _, found = _run_schedule(tmp_path, "--backbone", "ms-2023")
    assert found["check"]["equal"]
    assert list(found["schedules"]) == [
        "authors",
        "ours fp32",
        "recipe fp32",
        "unshared fp32",
    ]
    assert set(found["check"]["differences"]["unshared fp32"]) == {
        "logits of captions",
        "logits of clips",
        "gradient",
    }
    assert "Shared prefix: ours fp32" in capsys.readouterr().out


def test_the_authors_encode_again_what_we_read(monkeypatch, tiny, tmp_path):
    calls = {"encode_captions": [], "encode_audio": []}
    for verb, made in calls.items():
        original = getattr(tiny, verb)

        def counting(*args, original=original, made=made):
            made.append(args)
            return original(*args)

        monkeypatch.setattr(tiny, verb, counting)
    options = schedule.parse_arguments(SMALL)
    material = schedule.Material(options, torch.device("cpu"), tmp_path)
    material.encode()
    authors, ours, _ = schedule.make_schedules(options, material)
    # Each in one batch, which others' or its own copies fill up.
    encoded = [text for made in calls["encode_captions"] for text in {*made[0]}]
    assert sorted(encoded) == sorted(material.captions)
    assert len(encoded) == 6
    assert sum(len(wavs) for wavs, _ in calls["encode_audio"]) == 3
    for made in calls.values():
        made.clear()

    ours.step(0), ours.evaluate()
    assert calls == {"encode_captions": [], "encode_audio": []}

    authors.step(0), authors.evaluate()
    ((texts, pad_to),) = calls["encode_captions"]
    assert (texts, pad_to) == (material.captions[:2], 30)
    assert sum(len(wavs) for wavs, _ in calls["encode_audio"]) == 2 * 3
    assert authors.tokens.input_ids.shape == (3, 30 - 2)


def test_both_schedules_take_the_same_steps(tiny, tmp_path):
    options = schedule.parse_arguments(SMALL)
    material = schedule.Material(options, torch.device("cpu"), tmp_path)
    material.encode()
    authors, ours, _ = schedule.make_schedules(options, material)
    before = ours.learner.ctx_fine.detach().clone()
    for number in range(3):
        for made in (authors, ours):
            made.step(number)
    for name in ("ctx_coarse", "ctx_fine"):
        assert torch.allclose(
            getattr(authors.learner, name),
            getattr(ours.learner, name),
            atol=1e-4,
        )
    assert not torch.allclose(before, ours.learner.ctx_fine, atol=1e-3)


def test_check_compares_and_measures_nothing(tiny, tmp_path, capsys):
    arguments = [*SMALL, "--check", "--output", str(tmp_path / "none")]
    assert schedule.main(arguments) == 0
    assert capsys.readouterr().out.strip().endswith("equal")
    assert not (tmp_path / "none").exists()


def test_check_fails_without_tolerance(tiny, capsys):
    assert schedule.main([*SMALL, "--check", "--tolerance", "0"]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def _context_before_cls(monkeypatch):
    original = schedule.torch.cat

    def swapped(tensors, dim=0):
        if len(tensors) == 3 and dim == 1:
            tensors = [tensors[1], tensors[0], tensors[2]]
        return original(tensors, dim=dim)

    monkeypatch.setattr(schedule.torch, "cat", swapped)


def _padding_counts(monkeypatch):
    original = schedule.AuthorsSchedule.read_captions

    def unmasked(self, batch):
        sentence, words, mask = original(self, batch)
        return sentence, words, torch.ones_like(mask)

    monkeypatch.setattr(schedule.AuthorsSchedule, "read_captions", unmasked)


def _not_a_number(monkeypatch):
    original = schedule.OurSchedule.read_clips

    def broken(self, batch):
        clip, *frames = original(self, batch)
        return clip * torch.nan, *frames

    monkeypatch.setattr(schedule.OurSchedule, "read_clips", broken)


@pytest.mark.parametrize(
    "perturb", [_context_before_cls, _padding_counts, _not_a_number]
)
def test_check_fails_if_a_schedule_computes_something_else(
    monkeypatch, tiny, perturb
):
    perturb(monkeypatch)
    assert schedule.main([*SMALL, "--check"]) == 1


def test_extrapolated_runs_are_sums_of_their_parts():
    values = {"step": 2, "evaluation_prompts": 3, "evaluation_per_clip": 0.5}
    values["batch_size"] = 24
    size = {"epochs": 10, "clips": 100, "captions": 36 * 24 - 1}
    once = {"per_caption": 0.1, "per_clip": 1}
    every_epoch = 10 * (36 * 2 + 3 + 100 * 0.5)
    measured = {"authors": values, "ours": values}
    assert schedule.extrapolate(measured, once, size) == {
        "authors": {"first_seed": every_epoch, "second_seed": every_epoch},
        "ours": {
            "first_seed": every_epoch + (36 * 24 - 1) * 0.1 + 100,
            "second_seed": every_epoch,
        },
    }


@pytest.mark.parametrize(
    "options, complaint",
    [
        ("--steps 0", "--steps 0: give more than 0"),
        ("--n_ctx 0", "--n_ctx 0: give more than 0"),
        ("--batch_size 7", "more than --n_captions 6"),
        ("--n_captions 99999", "99999 captions: give 1 to "),
        ("--fixed_length 4", "--fixed_length 4 is . tokens? too short"),
        ("--device cuda:99", "no device 'cuda:99' here"),
        ("--device nonsense", "no device 'nonsense' here"),
    ],
)
def test_schedule_says_which_option_is_wrong(tiny, options, complaint):
    with pytest.raises(InputError, match=complaint):
        schedule.main([*SMALL, *options.split()])


@pytest.mark.parametrize(
    "main, options",
    [
        (schedule.main, ["--backbone", "laion"]),
        (schedule.main, ["--precision", "fp16"]),
        (many_classes.main, ["--classes", "many"]),
    ],
)
def test_an_unknown_choice_ends_with_status_2(main, options, capsys):
    with pytest.raises(SystemExit) as end:
        main(options)
    assert end.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_bf16_is_refused_where_it_would_take_hours(monkeypatch):
    seconds = {torch.bfloat16: 8.0, torch.float32: 0.1}
    monkeypatch.setattr(full_size, "_seconds", lambda _, dtype: seconds[dtype])
    assert full_size.find_device("cpu", ["fp32"]).type == "cpu"
    with pytest.raises(InputError, match="80 times as long as in fp32 on cpu"):
        full_size.find_device("cpu", ["fp32", "bf16"])
    seconds[torch.bfloat16] = 0.2
    assert full_size.find_device("cpu", ["fp32", "bf16"]).type == "cpu"


def test_both_precisions_are_measured_in_one_run(
    monkeypatch, tiny, tmp_path, capsys
):
    monkeypatch.setattr(full_size, "_seconds", lambda *_: 1.0)
    _, found = _run_schedule(tmp_path, "--precision", "fp32", "bf16")
    assert list(found["schedules"]) == [
        "authors",
        "ours fp32",
        "recipe fp32",
        "ours bf16",
        "recipe bf16",
    ]
    assert found["check"]["differences"]["ours bf16"]["gradient"] > 1e-4
    assert found["check"]["equal"]
    assert "no verdict in bf16" in capsys.readouterr().out


def test_many_classes_writes_what_it_promises(
    monkeypatch, tiny, tmp_path, capsys
):
    def in_this_process(arguments, n_classes, way):
        many_classes.main([*arguments, "--one", str(n_classes), way])
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    monkeypatch.setattr(many_classes, "run_child", in_this_process)
    monkeypatch.setattr(many_classes, "limit_memory", lambda *_: None)
    monkeypatch.setattr(text, "KEEP_BYTES", text.KEEP_BYTES)
    many_classes.main([*SIZES, "--output", str(tmp_path)])
    found = json.loads((tmp_path / "many_classes.json").read_text())
    assert [size["n_classes"] for size in found["sizes"]] == [3, 6]
    for size in found["sizes"]:
        for way in many_classes.WAYS:
            assert len(size[way]["steps"]) == 2
            assert size[way]["seconds"] > 0
            assert not size[way]["out_of_memory"]
    assert found["settings"]["classes_per_chunk"] is None
    png = (tmp_path / "many_classes.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert "| 6 |" in capsys.readouterr().out


def test_only_the_learner_recomputes(monkeypatch, tiny):
    chunks, original = [], text.checkpoint

    def counting(function, shared, names, **options):
        chunks.append(len(names.input_ids))
        return original(function, shared, names, **options)

    monkeypatch.setattr(text, "checkpoint", counting)
    monkeypatch.setattr(text, "KEEP_BYTES", text.KEEP_BYTES)
    device = torch.device("cpu")
    options = many_classes.parse_arguments([*SIZES, "--classes_per_chunk", "4"])
    many_classes.measure(options, device, 6, "learner")
    assert sorted(chunks) == [2, 2, 4, 4]  # two steps
    chunks.clear()
    text.KEEP_BYTES = 0
    many_classes.measure(options, device, 6, "kept")
    assert not chunks


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
)
def test_out_of_memory_is_a_result(monkeypatch, tiny, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(many_classes, "take_step", fail)
    options = many_classes.parse_arguments(SIZES)
    found = many_classes.measure(options, torch.device("cpu"), 3, "learner")
    assert found["out_of_memory"] and found["seconds"] is None
    assert many_classes.describe(found, 3.5) == ("-", "more than 3.5 GB")


def test_another_error_is_not_a_result(monkeypatch, tiny):
    def fail(*_):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(many_classes, "take_step", fail)
    options = many_classes.parse_arguments(SIZES)
    with pytest.raises(RuntimeError, match="multiplied"):
        many_classes.measure(options, torch.device("cpu"), 3, "learner")


@pytest.mark.parametrize(
    "options, complaint",
    [
        (["--classes", "10", "1"], "1 classes: give 2 to 2500"),
        (["--classes_per_chunk", "0"], "--classes_per_chunk 0: give more"),
        (["--memory_gb", "0"], "--memory_gb 0.0: give more"),
    ],
)
def test_many_classes_says_which_option_is_wrong(options, complaint):
    with pytest.raises(InputError, match=complaint):
        many_classes.main(options)


def test_a_mistake_is_one_sentence_and_status_2():
    done = subprocess.run(
        [sys.executable, schedule.__file__, "--steps", "0"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: --steps 0: give more than 0"
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(
    sys.platform != "linux", reason="limits of memory are Linux's"
)
def test_a_child_measures_mini_and_stops_at_its_limit():
    arguments = "--backbone mini --n_ctx 32 --steps 1 --memory_gb 2".split()
    found = many_classes.run_child(arguments, 3, "learner")
    assert not found["out_of_memory"]
    assert 100 < found["peak_memory_mb"] < 3000
    found = many_classes.run_child(arguments, 527, "kept")
    assert found["out_of_memory"]


def test_class_names_are_as_many_as_asked_for_and_differ():
    names = full_size.make_class_names(527)
    assert len(set(names)) == 527
    assert names[:2] == ["dog", "rooster"]
    assert names[50] == "dog, rooster"
    assert full_size.make_class_names(50) == names[:50]
    assert len(set(full_size.make_class_names(2500))) == 2500


def test_captions_are_as_many_as_asked_for_and_of_many_classes():
    captions = full_size.make_captions(96)
    assert len(set(captions)) == 96
    assert captions[0] == "a dog barking twice"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel keeps the mark")
def test_peak_memory_is_that_of_the_block():
    device = torch.device("cpu")
    large, small = full_size.PeakMemory(device), full_size.PeakMemory(device)
    with large:
        torch.ones(64 * 2**18)  # 64 MB
    with small:
        torch.ones(2**18)
    assert large.mb - small.mb > 40
    with large:
        pass
    assert large.mb - small.mb > 40
