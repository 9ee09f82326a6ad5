"""500 damaged inputs: each ends in one sentence, in a row, or is harmless.

All of them run in `make test-all`, a part of each kind in `make test`.
"""

from collections import Counter

import case_files
import case_texts
import pytest
from case import judge
from damages import copy

#: How many of each kind `make test` tries.
FEW = {
    "recording": 14,
    "option": 12,
    "YAML": 7,
    "table": 9,
    "export": 5,
    "checkpoint": 3,
    "store": 2,
    "archive": 3,
    "manifest": 3,
    "results": 2,
}
KINDS = (
    *(case_files.recordings, case_files.checkpoints, case_files.stores),
    *(case_files.exports, case_files.archives),
    *(case_texts.options, case_texts.yaml_files, case_texts.tables),
    *(case_texts.manifests, case_texts.results),
)
CASES = [case for kind in KINDS for case in kind()]


def _marked():
    """All cases; those that are not evenly spread over their kind are slow."""
    count, place = Counter(case.kind for case in CASES), Counter()
    for case in CASES:
        step = count[case.kind] / FEW[case.kind]
        # The middle of each stretch
        is_few = (place[case.kind] + step / 2) % step < 1
        place[case.kind] += 1
        marks = () if is_few else pytest.mark.slow
        yield pytest.param(case, id=case.id, marks=marks)


def test_there_are_enough_cases():
    assert len(CASES) >= 500
    assert len({case.id for case in CASES}) == len(CASES)
    few = Counter(each.values[0].kind for each in _marked() if not each.marks)
    assert few == FEW and few.total() == 60


@pytest.mark.parametrize("case", list(_marked()))
def test_a_damaged_input(case, template, forks, tmp_path, record_property):
    copy(template, tmp_path)
    call = case.make(tmp_path)
    ended = forks.run(tmp_path, *call)
    wrong = judge(case, tmp_path, ended)
    record_property("fault", [case.kind, case.right, wrong])
    if wrong:
        pytest.fail(f"{wrong}\n{ended.stderr[-3000:]}", pytrace=False)
