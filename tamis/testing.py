"""The laws of scorers, selectors and folds, for us and for authors of plug-ins.

In a test of your own package:

    def test_my_scorer_keeps_the_laws():
        testing.check_scorer(MyScorer(path), batch)

`batch` is real data of your choice, some hundred rows, each with a uid of its own. The rows are
cut and shuffled in many ways (hypothesis, derandomised), and every comparison is bit for bit. A
broken law raises AssertionError with its name.
"""

import itertools
import pickle
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import folds
from tamis.schemas import columns
from tamis.scorers import protocol as scorer_protocol
from tamis.selectors import protocol as selector_protocol

S = TypeVar("S")
R = TypeVar("R")

_EXAMPLES = 25


def check_scorer(scorer: scorer_protocol.Scorer, batch: pa.RecordBatch) -> None:
    """All laws of a scorer.

    Args:
      scorer: Not yet set up.
      batch: Rows with the columns it reads.

    Raises:
      AssertionError: names the law that does not hold.
    """
    _require(bool(scorer.name) and isinstance(scorer.name, str), "a scorer has a name")
    _check_reads(scorer.reads, batch)
    scorer.setup()
    whole = scorer.score(batch)
    _require(isinstance(whole, np.ndarray) and whole.dtype == np.float32, "scores are float32")
    _require(whole.shape == (batch.num_rows,), f"{whole.shape} scores of {batch.num_rows} rows")
    _require(bool(np.all(np.isfinite(whole))), "scores are finite")
    _require(scorer.score(batch.slice(0, 0)).shape == (0,), "no rows have no scores")
    narrow = batch.select(list(scorer.reads))
    _require(_same(scorer.score(narrow), whole), "a scorer reads only the columns it declares")
    scorer.setup()
    _require(_same(scorer.score(batch), whole), "setup may run twice")
    # Pickles of our own making; nothing that came from elsewhere is ever unpickled.
    copy = pickle.loads(pickle.dumps(scorer))  # noqa: S301
    copy.setup()
    _require(_same(copy.score(batch), whole), "a scorer survives pickling")

    def split(cuts: list[int], order: NDArray[np.int64]) -> None:
        parts = [scorer.score(part) for part in _cut(batch, cuts)]
        _require(_same(np.concatenate(parts), whole), f"batches cut at {cuts} score the same")
        shuffled = scorer.score(batch.take(pa.array(order)))
        _require(_same(shuffled, whole[order]), "a row scores the same in any order")

    _for_cuts_and_orders(batch.num_rows, split)


def check_selector(
    selector: selector_protocol.Selector, pool: pa.RecordBatch, *, prefix: bool = False
) -> None:
    """All laws of a selector.

    Args:
      selector: The selector.
      pool: Rows with the columns it reads, and distinct uids.
      prefix: Also require that the first k rows of a budget are the answer for budget k.

    Raises:
      AssertionError: names the law that does not hold.
    """
    _check_reads(selector.reads, pool)
    n = pool.num_rows
    uid = pool.column(columns.UID).to_numpy(zero_copy_only=False)
    _require(len(set(uid)) == n, "the pool of a test has distinct uids")

    def pick(rows: pa.RecordBatch, budget: int) -> NDArray[np.int64]:
        return selector.select(rows, budget, np.random.default_rng(7))

    for budget in sorted({0, 1, n // 3, n - 1, n, n + 5} - {-1}):
        _check_picks(pick(pool, budget), n, budget)
    for small in (0, 1):
        _check_picks(pick(pool.slice(0, small), 2), min(small, n), 2)
    copy = pickle.loads(pickle.dumps(selector))  # noqa: S301
    again = copy.select(pool, n // 2, np.random.default_rng(7))
    _require(_same(again, pick(pool, n // 2)), "one generator state gives one selection")
    if prefix:
        all_rows = pick(pool, n)
        for budget in (1, n // 3, n // 2):
            _require(_same(pick(pool, budget), all_rows[:budget]), "a prefix is the smaller answer")

    def shuffle(cuts: list[int], order: NDArray[np.int64]) -> None:
        for budget in [1, n // 2, *cuts]:
            shuffled = set(uid[order][pick(pool.take(pa.array(order)), budget)])
            same = shuffled == set(uid[pick(pool, budget)])
            _require(same, "the uids selected do not depend on the order of the pool")

    _for_cuts_and_orders(n, shuffle)


def check_fold(fold: folds.Fold[S, R], batch: pa.RecordBatch) -> None:
    """All laws of a fold: a commutative monoid whose result does not depend on how rows arrive.

    Args:
      fold: The fold.
      batch: Rows with the columns it reads.

    Raises:
      AssertionError: names the law that does not hold.
    """
    whole = fold.add(fold.zero(), batch)
    expected = fold.result(whole)
    before = pickle.dumps(whole)

    def equal(state: S, law: str) -> None:
        _require(_same(fold.result(state), expected), law)

    equal(fold.merge(fold.zero(), whole), "zero is a left identity")
    equal(fold.merge(whole, fold.zero()), "zero is a right identity")
    equal(fold.add(whole, batch.slice(0, 0)), "no rows change nothing")
    travelled = pickle.loads(before)  # noqa: S301
    equal(travelled, "a state survives pickling")
    equal(fold.merge(travelled, fold.add(fold.zero(), batch.slice(0, 0))), "and merges after it")

    def split(cuts: list[int], order: NDArray[np.int64]) -> None:
        parts = [fold.add(fold.zero(), part) for part in _cut(batch, cuts)]
        left, right = fold.zero(), fold.zero()
        for part in parts:
            left = fold.merge(left, part)
        for part in reversed(parts):
            right = fold.merge(part, right)
        equal(left, f"parts cut at {cuts} merge to the whole")
        equal(right, "merge is associative")
        backwards = fold.zero()
        for part in reversed(parts):
            backwards = fold.merge(backwards, part)
        equal(backwards, "merge is commutative")
        added = fold.zero()
        for part in _cut(batch.take(pa.array(order)), cuts):
            added = fold.add(added, part)
        equal(added, "rows may arrive in any order")

    _for_cuts_and_orders(batch.num_rows, split)
    _require(_same(fold.result(whole), expected), "result can be asked twice")
    _require(pickle.dumps(whole) == before, "no method mutates a state")


def _check_reads(reads: Sequence[str], batch: pa.RecordBatch) -> None:
    _require(isinstance(reads, tuple), "reads is a tuple of column names")
    missing = [name for name in reads if name not in batch.schema.names]
    _require(not missing, f"the test data lack the columns {missing} that are declared as read")


def _check_picks(picked: NDArray[np.int64], n: int, budget: int) -> None:
    _require(picked.dtype == np.int64, f"positions are int64, not {picked.dtype}")
    _require(picked.shape == (min(n, budget),), f"{picked.shape} rows for {budget} of {n}")
    _require(len(np.unique(picked)) == len(picked), "positions are distinct")
    _require(bool(np.all((picked >= 0) & (picked < n))), "positions are inside the pool")


def _cut(batch: pa.RecordBatch, cuts: list[int]) -> list[pa.RecordBatch]:
    edges = [0, *sorted(cuts), batch.num_rows]
    return [batch.slice(a, b - a) for a, b in itertools.pairwise(edges)]


def _for_cuts_and_orders(n: int, law: Callable[[list[int], NDArray[np.int64]], None]) -> None:
    """Run `law(cuts, order)` for many places to cut n rows, and many orders of them."""
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError as error:
        raise ImportError("tamis.testing needs hypothesis: pip install hypothesis") from error

    cuts = strategies.lists(strategies.integers(0, n), max_size=4)
    seeds = strategies.integers(0, 2**32 - 1)

    @hypothesis.settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(cuts, seeds)
    def run(cuts: list[int], seed: int) -> None:
        law(cuts, np.random.default_rng(seed).permutation(n))

    run()


def _same(a: Any, b: Any) -> bool:  # noqa: ANN401 -- results are of any type
    """Equal bit for bit, through tuples, lists and dicts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray):
        return a.equals(b)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[k], b[k]) for k in a)
    return bool(a == b)


def _require(holds: bool, law: str) -> None:  # noqa: FBT001 -- the condition itself
    if not holds:
        raise AssertionError(law)
