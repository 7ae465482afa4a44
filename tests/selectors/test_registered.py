"""Every registered selector keeps the laws, whatever the pool."""

import inspect

import numpy as np
import pyarrow as pa
import pytest

from tamis import errors, testing
from tamis.schemas import embeddings, uids
from tamis.selectors import registry

N, D = 60, 8
# A larger answer of these need not hold a smaller one: floors, shares and draws go by the budget.
NO_PREFIX = {"chain", "hierarchical", "round_robin:tasks", "saturated_coverage", "stratified"}
NO_PREFIX |= {"leverage", "clustering_sensitivity", "low_rank_sensitivity"}
OPTIONS = {
    "chain": {"selectors": [{"top_k": {}}, {"k_center": {}}], "times": [2.0]},
    "clustering_sensitivity": {"loss": "loss", "k": 5},
    "dpp": {"score": "score"},
    "hierarchical": {"levels": [8, 3], "resampling": 2},
    "low_rank_sensitivity": {"loss": "loss", "k": 3},
}
MORE = {
    "clustering_sensitivity:no loss": {},
    "facility_location:sharded": {"maximiser": "sharded", "shards": 3},
    "facility_location:stochastic": {"maximiser": "stochastic", "epsilon": 0.3},
    "hierarchical:closest": {"leaf": "closest", "resampling": 0},
    "leverage:p=1": {"p": 1.0},
    "leverage:p=3": {"p": 3.0},
    "stratified:label": {"by": "label", "floor": 1.0},
    "weighted:score": {"score": "loss", "temperature": 0.0},
}
CASES = {name: OPTIONS.get(name, {}) for name in registry.SELECTORS} | MORE
UNORDERED = NO_PREFIX | {"facility_location:sharded", "facility_location:stochastic"}


@pytest.fixture(scope="module")
def pool():
    """Clusters, ties, and every vector of the last ten twice."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, D))[rng.integers(0, 4, N)] + 0.4 * rng.standard_normal((N, D))
    x[-10:] = x[-20:-10]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return pa.record_batch(
        {
            "uid": uids.of("s", pa.array([str(i) for i in range(N)])),
            "score": pa.array(rng.integers(0, 9, N).astype(np.float32)),
            "loss": pa.array(rng.integers(0, 5, N).astype(np.float32)),
            "label": pa.array(["b", "a", None]).take(pa.array(rng.integers(0, 3, N))),
            "cluster": pa.array(rng.integers(0, 4, N).astype(np.int32)),
            "embedding": embeddings.column(x.astype(np.float16)),
        }
    )


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("target")
    x = np.random.default_rng(1).standard_normal((7, D)).astype(np.float32)
    np.save(folder / "target.npy", x)
    np.save(folder / "tasks.npy", np.array([5, 5, 2, 2, 2, 9, 9]))
    return {"target": str(folder / "target.npy"), "tasks": str(folder / "tasks.npy")}


@pytest.mark.parametrize("case", [*CASES, "round_robin:tasks"])
def test_every_selector_keeps_the_laws(case, pool, paths):
    name = case.partition(":")[0]
    options = CASES.get(case, {})
    if case == "round_robin:tasks":
        options = {"tasks": paths["tasks"]}
    made = registry.build(name, options, paths)
    testing.check_selector(made, pool, prefix=not {case, name} & UNORDERED)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("n", [0, 1, 2])
def test_tiny_pools_are_enough(case, n, pool, paths):
    made = registry.build(case.partition(":")[0], CASES[case], paths)
    testing.check_selector(made, pool.slice(20, n))


def test_a_chain_hands_the_target_to_its_selectors(pool, paths):
    options = {"selectors": [{"round_robin": {}}, {"k_center": {}}], "times": [3]}
    assert registry.artifacts("chain", options) == {"target"}
    assert registry.artifacts("chain", OPTIONS["chain"]) == set()
    made = registry.build("chain", options, paths)
    assert made.selectors[0].target == paths["target"]
    inside = made.selectors[0].select(pool, 30, np.random.default_rng(0))
    assert set(made.select(pool, 10, np.random.default_rng(0))) <= set(inside)


def test_every_selector_has_documented_options():
    for kind in registry.SELECTORS.values():
        cls = getattr(kind, "func", kind)
        fields = inspect.signature(cls).parameters
        assert all(f"{field}:" in cls.__doc__ for field in fields), cls
        assert not fields or "Attributes:" in cls.__doc__


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kcenter", {}, r"no selector 'kcenter'(?s:.*)did you mean k_center\?"),
        ("k_center", {"embeding": "x"}, r"'select.k_center.embeding'(?s:.*)mean 'embedding'\?"),
        ("leverage", {"p": 5}, "p is 5"),
        ("stratified", {"floor": 2}, "floor is 2"),
        ("weighted", {"temperature": -1}, "temperature is -1"),
        ("mmr", {"trade": 2}, "trade is 2"),
        ("dpp", {"bandwidth": 0}, "bandwidth 0"),
        ("hierarchical", {"levels": [3, 8]}, "levels fall"),
        ("facility_location", {"maximiser": "eager"}, "'eager' is not one of lazy"),
        ("graph_cut", {"strength": 0.7}, "strength from 0 to 0.5"),
        ("facility_location", {"objective": "graph_cut"}, "unknown option"),
        ("clustering_sensitivity", {"z": 0}, "z 0"),
        ("low_rank_sensitivity", {"k": -1}, "k -1"),
        ("chain", {}, "select.chain.selectors is None"),
        ("chain", {"selectors": [{"top_k": {}}], "times": [2]}, r"\[2\] for 1 selectors"),
        ("chain", {"selectors": [{"topk": {}}]}, "no selector 'topk'"),
    ],
)
def test_a_wrong_option_is_named(name, options, message):
    with pytest.raises(errors.ConfigError, match=message):
        registry.build(name, options)


@pytest.mark.parametrize("name", ["weighted", "mmr", "stratified"])
def test_a_nan_is_an_error(name, pool):
    broken = pool.set_column(1, "score", pa.array([np.nan] * N, pa.float32()))
    with pytest.raises(ValueError, match="score of row 0 is nan"):
        registry.build(name, {}).select(broken, 3, np.random.default_rng(0))


def test_a_zero_vector_has_no_direction(pool):
    x = embeddings.column(np.zeros((N, D), np.float16))
    broken = pool.set_column(pool.schema.names.index("embedding"), "embedding", x)
    with pytest.raises(ValueError, match="no direction"):
        registry.build("k_center", {}).select(broken, 3, np.random.default_rng(0))
