"""What `explain` says of memory is what a run then takes, within a fifth."""

import subprocess
import sys

import pytest

from benchmarks import chain as made
from tamis import errors, runfile
from tamis.pipelines import estimate

RUN = """
import sys
from tamis import runfile
from tamis.pipelines import chain
stages = ("ingest", "embed", "cluster", "score", "dedup", "tier")
chain.run(runfile.load(sys.argv[1]), stages=stages)
"""
PEAK = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
@pytest.mark.parametrize(("rows", "dimension"), [(2_000, 16), (60_000, 256)])
def test_memory_is_as_told(tmp_path, rows, dimension):
    made.generate(str(tmp_path), rows, dimension)
    file = tmp_path / "run.yaml"
    file.write_text(made.RUN.format(folder=tmp_path))
    told = estimate.estimate(runfile.load(str(file))).memory
    command = [sys.executable, "-c", PEAK, RUN, str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told == pytest.approx(int(ran.stdout), rel=0.2)


@pytest.mark.parametrize("what", ["memory", "disk"])
def test_what_cannot_fit_is_refused_before_anything_is_made(
    configured, monkeypatch, tmp_path, what
):
    known = {"memory": "available_memory", "disk": "free_disk"}
    monkeypatch.setattr(estimate, known[what], lambda *_: 1 << 10)
    document = configured(tmp_path / "run")
    with pytest.raises(errors.CapacityError, match=rf"needs .* of {what}, 1\.0 KiB is") as raised:
        estimate.estimate(document).check(document.run)
    assert raised.value.exit_code == 4
    assert not (tmp_path / "run").exists()
