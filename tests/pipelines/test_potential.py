"""The transport potential in a run: fitted once, centred on the supply, for any epsilon."""

import numpy as np
import pyarrow.parquet as pq

from tamis import scorers
from tamis.pipelines import chain
from tamis.schemas import columns
from tamis.scorers import transport_potential

STAGES = ("ingest", "embed", "score")
BY = {"tier": {"by": "transport_potential"}}


def scored(root):
    files = sorted((root / "scores/transport_potential").rglob("*.parquet"))
    return np.concatenate([pq.read_table(f).column(0).to_numpy() for f in files])


def artifacts(root):
    return sorted(p.name for p in (root / "artifacts").glob("transport_potential-*"))


def test_the_supply_scores_nothing_on_average(configured, tmp_path):
    root = tmp_path / "run"
    chain.run(configured(root, score={"transport_potential": {}}, **BY), stages=STAGES)
    score = scored(root)
    assert np.all(np.isfinite(score))
    assert abs(score.mean()) < 0.05 * np.abs(score).max()
    (folder,) = (root / "artifacts").glob("transport_potential-*")
    target, potential = np.load(folder / "target.npy"), np.load(folder / "potential.npy")
    assert potential.shape == (len(target),)
    assert columns.EMBEDDING in scorers.find("transport_potential").reads
    f = transport_potential.soft_transform(target, target, potential, 0.05)
    assert -f.mean() > score.mean()  # the target's own rows would bring the supply nearer


def test_another_epsilon_is_another_artifact(configured, tmp_path):
    root = tmp_path / "run"
    chain.run(configured(root, score={"transport_potential": {}}, **BY), stages=STAGES)
    before = artifacts(root)
    changed = configured(root, score={"transport_potential": {"epsilon": 0.2}}, **BY)
    chain.run(changed, stages=STAGES, redo=True)
    assert len(artifacts(root)) == len(before) + 1
