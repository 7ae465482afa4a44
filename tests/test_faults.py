"""A few runs of the fault campaign; `python -m benchmarks.faults` has the large one."""

import sys

import pytest

from benchmarks import faults

RUNS = range(1, 7)  # of every kind at least one; two worker processes are the large campaign's


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_hurt_runs_end_as_if_nothing_had_happened(tmp_path):
    found = faults.campaign(tmp_path, RUNS.start, len(RUNS))
    assert {run["kind"] for run in found} == set(faults.KINDS)
    assert [run for run in found if not faults.good(run)] == []
    tried = [run for run in found if "skipped" not in run]
    if not tried or all("skipped" in r for r in found if r["kind"] == "full"):
        pytest.skip("no right to mount: the full disk was left out")
    assert any(run["struck"] for run in tried)
