"""What importing the package does not import: start-up time is a promise.

Authors
 * The afpt_plugin developers 2026
"""

import json
import subprocess
import sys

import pytest

HEAVY = {"matplotlib", "msclap", "pandas", "sklearn", "transformers"}
HEAVIER = {"scipy", "speechbrain", "torch", "torchaudio"}

# One after the other, in one process that has not imported anything.
STAGES = {
    "import afpt_plugin, afpt_plugin.errors, afpt_plugin.files": HEAVY
    | HEAVIER,
    "import afpt_plugin.cli; afpt_plugin.cli.make_parser()": HEAVY | HEAVIER,
    "import afpt_plugin.data.captions, afpt_plugin.data.manifests": HEAVY,
    "import afpt_plugin.data.store, afpt_plugin.data.datasets": HEAVY,
    "import afpt_plugin.backbones, afpt_plugin.backbones.mini_clap": HEAVY,
    "import afpt_plugin.brain, afpt_plugin.experiment": HEAVY,
    "import afpt_plugin.samples": HEAVY,
}

REPORT = "print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"


@pytest.fixture(scope="module", name="imported")
def fixture_imported():
    """The packages that are there after each stage."""
    lines = ["import json, sys"]
    for stage in STAGES:
        lines += [stage, REPORT]
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    reports = map(json.loads, process.stdout.splitlines())
    return dict(zip(STAGES, reports, strict=True))


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_does_not_need_is_not_imported(imported, stage):
    assert "afpt_plugin" in imported[stage]
    assert not STAGES[stage] & set(imported[stage])
