import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from sklearn import svm

from tamis.selectors import pruning

KEEPS = [1, 0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
# Keep-hard with a perfect probe; computed apart from this code and checked against an SVM.
TABLE = {
    0.5: [0.32885, 0.35508, 0.38807, 0.40573, 0.42396, 0.44261, 0.46157, 0.48073, 0.49036],
    1: [0.26571, 0.27131, 0.29918, 0.32105, 0.34833, 0.38076, 0.41767, 0.45793, 0.47885],
    1.5: [0.22158, 0.20818, 0.20809, 0.21536, 0.23164, 0.26279, 0.31631, 0.39731, 0.44700],
    2: [0.18848, 0.16675, 0.14655, 0.13610, 0.12488, 0.11228, 0.09712, 0.07630, 0.06019],
    4: [0.11366, 0.09383, 0.07233, 0.06099, 0.04930, 0.03729, 0.02502, 0.01256, 0.00629],
    20: [0.02491, 0.01996, 0.01499, 0.01250, 0.01000, 0.00750, 0.00500, 0.00250, 0.00125],
}
MARGINS = [0.4546, 0.3755, 0.2931, 0.2502, 0.2056, 0.1591, 0.1101, 0.0577, 0.0297]
EASY = {
    0.5: [0.29763, 0.25019, 0.19584],
    1: [0.22987, 0.18183, 0.13459],
    2: [0.15566, 0.11731, 0.08396],
}
ANGLED = [  # probe angle, keep, alpha, error
    (10, 0.5, 2, 0.1471),
    (10, 0.5, 4, 0.0621),
    (10, 0.2, 2, 0.3023),
    (10, 0.2, 4, 0.0393),
    (10, 0.2, 8, 0.0155),
    (20, 0.5, 2, 0.1801),
    (20, 0.5, 4, 0.0706),
    (20, 0.2, 2, 0.3452),
    (20, 0.2, 4, 0.1524),
    (20, 0.2, 8, 0.0305),
]
ALPHAS = st.floats(-2, 2.5).map(lambda power: 10.0**power)
FRACTIONS = st.floats(0.02, 0.98)


@pytest.mark.parametrize("alpha", TABLE)
def test_the_table_of_the_theory(alpha):
    np.testing.assert_allclose(pruning.perceptron_error(alpha, KEEPS), TABLE[alpha], atol=2e-5)


def test_the_margins_at_two_examples_per_dimension():
    np.testing.assert_allclose(pruning.perceptron(2, KEEPS).margin, MARGINS, atol=6e-5)


def test_keep_easy():
    found = pruning.perceptron_error([[a] for a in EASY], [0.8, 0.5, 0.2], "easy")
    np.testing.assert_allclose(found, list(EASY.values()), atol=2e-5)


def test_an_imperfect_probe():
    angle, keep, alpha, error = np.transpose(ANGLED)
    found = pruning.perceptron_error(alpha, keep, "hard", angle)
    np.testing.assert_allclose(found, error, atol=6e-5)


def test_order_parameters_with_an_imperfect_probe():
    found = pruning.perceptron(4, 0.5, "hard", 20)
    np.testing.assert_allclose(found, (0.0706, 0.976, 0.909, 0.135), atol=6e-4)


def residuals(alpha, keep, strategy, probe_angle):
    """Left minus right of the paper's saddle point, Eqs. (3.1)-(3.3) of our notes."""
    _, overlap, rho, kappa = map(float, pruning.perceptron(alpha, keep, strategy, probe_angle))
    cos, sin = math.cos(math.radians(probe_angle)), math.sin(math.radians(probe_angle))
    low, high = -9.0, 9.0
    if strategy == "hard":
        high = special.ndtri((1 + keep) / 2)
        low = -high
    z, z_weight = panels(low, high, 60)
    if strategy == "easy":
        cut = special.ndtri(1 - keep / 2)
        (left, w), (right, v) = panels(-9, -cut, 30), panels(cut, 9, 30)
        z, z_weight = np.append(left, right), np.append(w, v)
    t, t_weight = panels(-10, kappa, 60)
    z = z[:, None]
    weight = z_weight[:, None] * t_weight * np.exp(-z * z / 2) / math.sqrt(2 * math.pi) / keep
    big = math.sqrt(sin**2 - overlap**2 - rho**2 + 2 * rho * overlap * cos)
    gamma = z * (rho * overlap - cos) - t * (overlap - rho * cos)
    delta = z**2 * (rho**2 + cos**2 - 2 * rho * overlap * cos)
    delta = delta + 2 * t * z * (overlap * cos - rho) + t**2 * sin**2
    rest = 1 - rho**2
    phi = np.exp(-((t - rho * z) ** 2) / (2 * rest)) / math.sqrt(2 * math.pi * rest)
    phi = phi * special.ndtr(-gamma / (math.sqrt(rest) * big))
    bell = np.exp(-delta / (2 * big**2))
    third = phi * (z - rho * t) / rest + bell / (2 * math.pi * big) * (rho * overlap - cos) / rest
    return (
        (overlap - rho * cos) / sin**2
        - alpha / (math.pi * big) * np.sum(weight * bell * (kappa - t)),
        1
        - (rho**2 + overlap**2 - 2 * rho * overlap * cos) / sin**2
        - 2 * alpha * np.sum(weight * phi * (kappa - t) ** 2),
        (rho - overlap * cos) / sin**2 - 2 * alpha * np.sum(weight * third * (kappa - t)),
    )


def panels(low, high, count, nodes=8):
    x, w = np.polynomial.legendre.leggauss(nodes)
    edges = np.linspace(low, high, count + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (x + 1)).ravel(), (half * w).ravel()


@pytest.mark.parametrize("strategy", ["hard", "easy"])
@pytest.mark.parametrize(
    ("alpha", "keep", "angle"), [(4, 0.5, 20), (0.7, 0.3, 20), (2, 0.2, 40), (3, 0.8, 70)]
)
def test_the_published_saddle_point_holds(alpha, keep, angle, strategy):
    np.testing.assert_allclose(residuals(alpha, keep, strategy, angle), 0, atol=1e-8)


@pytest.mark.parametrize(("keep", "examples"), [(0.2, 10.34), (0.5, 5.05), (0.8, 9.67)])
def test_where_keep_easy_turns_into_keep_hard(keep, examples):
    assert pruning.crossover(keep) == pytest.approx(examples, abs=6e-3)
    assert pruning.advise(examples * 0.99, keep).strategy == "easy"
    assert pruning.advise(examples * 1.01, keep).strategy == "hard"


@pytest.mark.parametrize(
    ("examples", "keep", "hard", "easy"),
    [
        (4, 0.5, 0.1361, 0.1173),
        (5, 0.5, 0.0998, 0.0994),
        (6, 0.5, 0.0812, 0.0862),
        (10, 0.2, 0.0971, 0.0840),
        (12, 0.2, 0.0506, 0.0731),
    ],
)
def test_advice_near_the_crossover(examples, keep, hard, easy):
    found = pruning.advise(examples, keep)
    assert (found.hard, found.easy) == pytest.approx((hard, easy), abs=6e-5)
    assert found.strategy == ("hard" if hard < easy else "easy")
    assert found.reason.startswith(f"Keep the {found.strategy} examples: ")


def test_advice_to_leave_the_score_alone():
    assert "Nothing is pruned" in pruning.advise(20, 1).reason
    poor = pruning.advise(20, 0.2, probe_angle=45)
    assert poor.strategy == "random"
    assert poor.random < min(poor.hard, poor.easy)
    assert "too poor a guide" in poor.reason


@pytest.mark.parametrize(("keep", "alpha"), [(0.8, 1.124), (0.5, 1.453), (0.2, 1.760)])
def test_keep_hard_beats_as_many_at_random_above(keep, alpha):
    hard, random = (pruning.perceptron_error(alpha, keep, s) for s in ("hard", "random"))
    assert hard == pytest.approx(random, abs=2e-4)


def test_limits():
    error = pruning.perceptron_error
    assert error(1e4, 1) * 1e4 == pytest.approx(0.5, abs=2e-3)
    assert error(1e4, [0.5, 0.05]) * 1e4 == pytest.approx([0.25, 0.025], rel=2e-3)
    assert error(1.9, 1e-5) == pytest.approx(0.5, abs=1e-4)  # random labels fit below capacity 2
    assert error(2.1, 1e-5) < 1e-3
    assert error(1e-8, 1) == pytest.approx(0.5 - math.sqrt(2e-8 / math.pi) / math.pi, abs=1e-9)
    assert error(3, 0.3, "random", 50) == error(3, 1)
    assert error(3, 0.3, "hard", 1e-4) == pytest.approx(error(3, 0.3), abs=1e-7)


@pytest.mark.parametrize("strategy", ["hard", "easy"])
@pytest.mark.parametrize("angle", [0, 1e-6, 89.9])
def test_extremes_are_finite(strategy, angle):
    alphas = [[1e-9], [2], [1e9]]
    found = pruning.perceptron(alphas, [1e-6, 0.3, 1 - 1e-9], strategy, angle)
    assert ((found.error > 0) & (found.error <= 0.5)).all()
    assert (found.margin > 0).all()


@settings(max_examples=15, deadline=None)
@given(ALPHAS, FRACTIONS, st.sampled_from(["hard", "easy"]), st.sampled_from([0.0, 15.0, 50.0]))
def test_more_examples_leave_less_margin(alpha, keep, strategy, angle):
    few, many = (pruning.perceptron(a, keep, strategy, angle) for a in (alpha, 1.3 * alpha))
    assert many.margin < few.margin
    assert 0 < few.error < 0.5
    assert few.error == pytest.approx(math.acos(few.overlap) / math.pi, abs=1e-7)
    assert abs(few.probe_overlap) <= 1


@settings(max_examples=25, deadline=None)
@given(ALPHAS, FRACTIONS)
def test_a_perfect_probe(alpha, keep):
    hard, easy, random = (pruning.perceptron(alpha, keep, s) for s in ("hard", "easy", "random"))
    assert easy.error < random.error
    assert hard.margin < random.margin < easy.margin
    assert hard.overlap == hard.probe_overlap
    assert pruning.perceptron_error(1.2 * alpha, keep) < hard.error


def simulated(alpha, keep, strategy, angle, n=100, runs=8):
    errors = []
    for run in range(runs):
        rng = np.random.default_rng([run, n])
        x = rng.standard_normal((round(alpha * n / keep), n))
        probe = np.zeros(n)
        probe[:2] = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        order = np.argsort(np.abs(x @ probe))
        order = order[::-1] if strategy == "easy" else order
        kept = x[order[: round(alpha * n)]]
        pairs = np.sign(kept[:, :1]) * kept
        labels = np.repeat([1, -1], len(pairs))
        model = svm.SVC(kernel="linear", C=1e8).fit(np.concatenate([pairs, -pairs]), labels)
        student = model.coef_[0]
        errors.append(math.acos(student[0] / np.linalg.norm(student)) / math.pi)
    return np.mean(errors), np.std(errors, ddof=1) / math.sqrt(runs)


@pytest.mark.parametrize(
    ("alpha", "keep", "strategy", "angle"),
    [
        (1, 1, "random", 0),
        (1, 0.5, "hard", 0),
        (3, 0.5, "hard", 0),
        (1, 0.5, "easy", 0),
        (3, 0.5, "hard", 20),
        (1, 0.3, "easy", 40),
    ],
)
def test_a_simulated_perceptron_agrees(alpha, keep, strategy, angle):
    mean, spread = simulated(alpha, keep, strategy, angle)
    assert abs(mean - pruning.perceptron_error(alpha, keep, strategy, angle)) < 3 * spread


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0, 0.5), "alpha is 0; it must be positive"),
        ((math.nan, 0.5), "alpha is nan"),
        ((math.inf, 0.5), "alpha is inf"),
        ((1, [0.5, 1.2]), "keep is 1.2; it must be from 1e-06 to 1"),
        ((1, 0), "keep is 0"),
        ((1, 0.5, "medium"), "strategy is 'medium'; one of hard, easy, random"),
        ((1, 0.5, "hard", 90), "probe_angle is 90; it must be at least 0 and below 90 degrees"),
        ((1, 0.5, "hard", -1), "probe_angle is -1"),
    ],
)
def test_values_out_of_range(arguments, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        pruning.perceptron_error(*arguments)


def test_shapes():
    assert np.ndim(pruning.perceptron_error(2, 0.5)) == 0
    assert pruning.perceptron_error([], 0.5).shape == (0,)
    assert pruning.perceptron_error(np.ones((2, 1)), [0.5, 0.2, 1]).shape == (2, 3)
    with pytest.raises(ValueError, match="broadcast"):
        pruning.perceptron_error([1, 2], [0.1, 0.2, 0.3])
