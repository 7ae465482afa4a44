import numpy as np

from tamis.report import collect, examples
from tamis.schemas import measurements


def test_curves_are_means_of_single_strata():
    table = measurements.table(
        ("a", "b"),
        samples=[100, 100, 1000, 100, 1000, 100],
        errors=[0.5, 0.4, 0.3, 0.6, 0.7, 0.1],
        weights=[[1, 0], [1, 0], [1, 0], [1, 0], [1, 0], [0.5, 0.5]],
        supply=[[800, 9], [800, 9], [800, 9], [200, 9], [200, 9], [800, 9]],
        seeds=[0, 1, 0, 0, 0, 0],
    )
    full, fewer = collect.curves(table, ["b", "a"])
    assert (full.stratum, full.supply, full.samples) == ("a", 800, (100, 1000))
    np.testing.assert_allclose(full.errors, (0.45, 0.3))
    assert (fewer.supply, fewer.errors) == (200, (0.6, 0.7))


def nearest(point, *, above, batches):
    found = examples._Nearest(point, above=above)
    start = 0
    for x in batches:
        found.add(np.array(x, np.float32), 0, start)
        start += len(x)
    return [(p.score, p.i) for p in found.kept]


def test_nearest_rows_do_not_depend_on_batches():
    x = [0.5, 0.25, 0.75, 1.0, 0.0, 0.5, 0.625]
    for cut in range(len(x) + 1):
        batches = [x[:cut], x[cut:]]
        assert nearest(0.5, above=True, batches=batches) == [(0.5, 0), (0.5, 5), (0.625, 6)]
        assert nearest(0.5, above=False, batches=batches) == [(0.25, 1), (0.0, 4)]
        assert nearest(np.inf, above=True, batches=batches) == [(1.0, 3), (0.75, 2), (0.625, 6)]
        assert nearest(-np.inf, above=False, batches=batches) == [(0.0, 4), (0.25, 1), (0.5, 0)]


def test_brief_is_one_short_line():
    assert examples._brief("a\n b\t c") == "a b c"
    assert len(examples._brief("word " * 10_000)) <= 241
