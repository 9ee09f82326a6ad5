"""500 damaged inputs: each ends in one sentence, in a row, or is harmless.

All of them run in `make test-all`, a part of each kind in `make test`.
"""

import case_files
import case_texts
import pytest
from case import judge, state
from damages import copy

#: How many of each kind `make test` tries.
FEW = {
    "recording": 12,
    "option": 12,
    "YAML": 7,
    "table": 11,
    "export": 6,
    "checkpoint": 1,
    "store": 1,
    "archive": 3,
    "manifest": 3,
    "results": 2,
    "rerun": 2,
}
KINDS = (
    *(case_files.recordings, case_files.checkpoints, case_files.stores),
    *(case_files.exports, case_files.archives),
    *(case_texts.options, case_texts.yaml_files, case_texts.tables),
    *(case_texts.manifests, case_texts.results, case_texts.reruns),
)
CASES = [case for kind in KINDS for case in kind()]


def _marked():
    """All cases; those that are not evenly spread over their kind are slow."""
    for kind, few in FEW.items():
        cases = [case for case in CASES if case.kind == kind]
        step = len(cases) / few
        fast = {int((index + 0.5) * step) for index in range(few)}
        for index, case in enumerate(cases):
            marks = () if index in fast else pytest.mark.slow
            yield pytest.param(case, id=case.id, marks=marks)


def test_there_are_enough_cases():
    assert len(CASES) >= 500
    marked = list(_marked())
    assert len({each.id for each in marked}) == len(CASES) == len(marked)
    assert sum(not each.marks for each in marked) == 60


@pytest.mark.parametrize("case", list(_marked()))
def test_a_damaged_input(case, template, forks, tmp_path, record_property):
    copy(template, tmp_path)
    call = case.make(tmp_path)
    before = case.keeps and state(tmp_path / case.keeps)
    ended = forks.run(tmp_path, *call)
    wrong = judge(case, tmp_path, ended, before)
    record_property("fault", [case.kind, case.right, wrong])
    if wrong:
        pytest.fail(f"{wrong}\n{ended.stderr[-3000:]}", pytrace=False)
