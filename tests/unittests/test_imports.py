"""What imports what: no circles, and start-up time is a promise."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import afpt_plugin

PACKAGE = Path(afpt_plugin.__file__).parent
HEAVY = {"matplotlib", "msclap", "pandas", "sklearn", "transformers"}
HEAVIER = HEAVY | {"numpy", "scipy", "speechbrain", "torch", "torchaudio"}

# One after the other, in one process that has not imported anything.
STAGES = {
    "import afpt_plugin, afpt_plugin.errors, afpt_plugin.files": HEAVIER,
    # All of `afpt --help`
    "import afpt_plugin.cli; afpt_plugin.cli.make_parser().format_help()": HEAVIER,
    "import afpt_plugin.data.captions, afpt_plugin.data.manifests": HEAVY,
    "import afpt_plugin.data.store, afpt_plugin.data.supervision": HEAVY,
    "import afpt_plugin.task, afpt_plugin.learners": HEAVY,
    "import afpt_plugin.backbones, afpt_plugin.backbones.mini_clap": HEAVY,
    "import afpt_plugin.brain, afpt_plugin.experiment": HEAVY,
    "import afpt_plugin.samples": HEAVY,
    # sympy comes with torch's compiler.
    "afpt_plugin.backbones.load_clap('mini').encode_captions(['a dog'])": HEAVY
    | {"sympy"},
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
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    reports = map(json.loads, process.stdout.splitlines())
    return dict(zip(STAGES, reports, strict=True))


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_does_not_need_is_not_imported(imported, stage):
    """Neither by itself nor by what it imports."""
    assert "afpt_plugin" in imported[stage]
    assert not STAGES[stage] & set(imported[stage])


def test_no_module_imports_one_that_imports_it():
    """Imports inside functions, which hide circles, count as well."""
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        arrows = graph.setdefault(name.removesuffix(".__init__"), set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                arrows |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                # A module of a package, or else something in a module
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                arrows |= {node.module} | names
    graph = {name: arrows & graph.keys() for name, arrows in graph.items()}
    assert len(graph) > 30
    # Every package is imported before its modules.
    for name in graph:
        graph[name].discard("afpt_plugin")
    graphlib.TopologicalSorter(graph).prepare()
