"""Metrics of training dynamics against loops in the papers' words and automatic gradients."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tamis import errors
from tamis.pilots import linear_probe
from tamis.schemas import embeddings
from tamis.scorers import ddd, el2n, forgetting, grand, margin, probe, uncertainty

C, D = 4, 6


def problem(n=40, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, scale * rng.standard_normal((n, C)), rng.integers(0, C, n)


def test_el2n_is_the_length_of_the_error():
    _, z, y = problem()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    want = [np.linalg.norm(p[i] - np.eye(C)[y[i]]) for i in range(len(y))]
    np.testing.assert_allclose(el2n.el2n(z, y), want, rtol=1e-12)
    assert el2n.el2n(np.array([[-800.0, 800.0]]), np.array([0]))[0] == pytest.approx(np.sqrt(2))


def test_el2n_of_a_sure_row_is_not_lost_in_rounding():
    z = np.array([[40.0, 0.0, 0.0]])
    e = np.exp(-40)  # own class misses 2e, the others have e each
    assert el2n.el2n(z, np.array([0]))[0] == pytest.approx(np.sqrt(6) * e, rel=1e-10)


def test_grand_of_a_linear_classifier_is_the_length_of_its_gradient():
    x, _, y = problem()
    layer = torch.nn.Linear(D, C).double()
    with torch.no_grad():
        z = layer(torch.tensor(x)).numpy()
    closed = grand.grand(x, z, y)
    np.testing.assert_allclose(closed, looped(layer, x, y), rtol=1e-10)
    got = grand.of_module(layer, torch.tensor(x), torch.tensor(y), block=7)
    np.testing.assert_allclose(got, closed, rtol=1e-10)


def looped(module, x, y):
    """Gradient lengths, one row and one backward pass at a time."""
    found = []
    for row, label in zip(torch.tensor(x), torch.tensor(y), strict=True):
        module.zero_grad()
        torch.nn.functional.cross_entropy(module(row[None]), label[None]).backward()
        trained = [p.grad for p in module.parameters() if p.grad is not None]
        found.append(np.sqrt(sum(float(g.square().sum()) for g in trained)))
    return found


def test_grand_of_any_module_is_that_of_the_loop():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, D)),
        torch.nn.Conv1d(1, 3, 3),
        torch.nn.Flatten(),
        torch.nn.LayerNorm(3 * (D - 2)),
        torch.nn.Tanh(),
        torch.nn.Linear(3 * (D - 2), C),
    ).double()
    net[1].bias.requires_grad_(False)
    x, _, y = problem(20)
    got = grand.of_module(net, torch.tensor(x), torch.tensor(y), block=8)
    np.testing.assert_allclose(got, looped(net, x, y), rtol=1e-10)
    assert grand.of_module(net, torch.tensor(x[:0]), torch.tensor(y[:0])).shape == (0,)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=20))
def test_forgetting_counts_right_to_wrong(rows):
    want = []
    for row in rows:
        events = sum(row[t] and not row[t + 1] for t in range(4))
        want.append(events if any(row) else 5)
    got = forgetting.forgetting(np.array(rows))
    assert got.tolist() == want
    learned = np.array(rows).any(1)
    assert not learned.any() or got[learned].max() < 5


def test_margin_is_the_lead_of_the_label():
    _, z, y = problem()
    want = [z[i, y[i]] - max(z[i, j] for j in range(C) if j != y[i]) for i in range(len(y))]
    np.testing.assert_array_equal(margin.margin(z, y), want)
    assert ((margin.margin(z, y) > 0) == (z.argmax(1) == y)).all()


def test_uncertainties_by_hand_and_by_scipy():
    p = np.array([[0.5, 0.3, 0.2], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(uncertainty.uncertainty(p, "entropy"), stats.entropy(p, axis=1))
    np.testing.assert_allclose(uncertainty.uncertainty(p, "margin"), [0.8, 0, 1])
    np.testing.assert_allclose(uncertainty.uncertainty(p, "least_confidence"), [0.5, 0, 2 / 3])


def test_two_classes_rank_alike_by_every_uncertainty():
    p = np.random.default_rng(0).random(50)
    both = np.stack([p, 1 - p], axis=1)
    ranks = [stats.rankdata(uncertainty.uncertainty(both, m)) for m in ("entropy", "margin")]
    assert np.array_equal(*ranks)


def test_misclassified_is_a_share():
    assert ddd.misclassified(np.array([[True, False, False, True], [True] * 4])).tolist() == [
        0.5,
        0,
    ]


def clouds(n=600, noisy=60, seed=0):
    """Three classes in D dimensions; the first rows have a wrong label."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * np.linalg.qr(rng.standard_normal((D, D)))[0][:3]
    true = rng.integers(0, 3, n)
    x = centres[true] + 0.35 * rng.standard_normal((n, D))
    y = true.copy()
    y[:noisy] = (true[:noisy] + 1) % 3
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), y


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Paths of the probe's artifacts, the rows, and the weights."""
    x, y = clouds()
    rng = np.random.default_rng(1)
    orders = np.stack([linear_probe.order(len(x), 8 * len(x), rng) for _ in range(3)])
    weights = linear_probe.checkpoints(x, y, orders, classes=3, count=8)
    folder = tmp_path_factory.mktemp("probe")
    np.save(folder / "weights.npy", weights)
    (folder / "labels.json").write_text(json.dumps(["a", "b", "c"]))
    batch = pa.record_batch(
        {"embedding": embeddings.column(x), "label": pa.array(["a", "b", "c"]).take(pa.array(y))}
    )
    paths = (str(folder / "weights.npy"), str(folder / "labels.json"))
    return paths, batch, (x, y), weights


def logits_of(x, weights):
    """Shape (m, t, n, c), by a loop over checkpoints."""
    return np.array(
        [[x.astype(float) @ w[:, :-1].T.astype(float) + w[:, -1] for w in run] for run in weights]
    )


def test_scorers_are_the_metrics_of_the_probe_s_logits(trained):
    paths, batch, (x, y), weights = trained
    z = logits_of(x, weights)
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    n = np.arange(len(y))
    error = np.linalg.norm(p[:, 0] - np.eye(3)[y], axis=-1)
    right = z.argmax(-1) == y
    events = (right[:, :-1] & ~right[:, 1:]).sum(1)
    lead = z[..., n, y] - np.where(np.eye(3)[y] > 0, -np.inf, z).max(-1)
    want = {
        el2n.EL2N: error.mean(0),
        grand.GraNd: error.mean(0) * np.sqrt(np.linalg.norm(x, axis=1) ** 2 + 1 / D),
        forgetting.Forgetting: np.where(right.any(1), events, 8).mean(0),
        margin.Margin: -lead.mean((0, 1)),
        ddd.DichotomousDifficulty: 1 - right.mean((0, 1)),
        uncertainty.Uncertainty: stats.entropy(p[:, -1].mean(0), axis=-1),
    }
    for kind, expected in want.items():
        hard = kind(*paths, keep="hard").score(batch)
        np.testing.assert_allclose(hard, expected, rtol=2e-5, atol=1e-6)
        assert np.array_equal(kind(*paths).score(batch), -hard)


@pytest.mark.parametrize(
    ("kind", "least"),
    [(el2n.EL2N, 0.97), (margin.Margin, 0.97), (ddd.DichotomousDifficulty, 0.97)],
)
def test_mislabelled_rows_are_hard(trained, kind, least):
    paths, batch, (_, y), _ = trained
    score = kind(*paths, keep="hard").score(batch)
    wrong = np.arange(len(y)) < 60
    lead = stats.mannwhitneyu(score[wrong], score[~wrong]).statistic / (60 * (len(y) - 60))
    assert lead > least


def test_blocks_do_not_change_a_bit(trained, monkeypatch):
    paths, batch, _, _ = trained
    want = margin.Margin(*paths).score(batch)
    monkeypatch.setattr(probe, "_BLOCK_BYTES", 8 * 3 * 8 * 3 * 7)
    assert np.array_equal(margin.Margin(*paths).score(batch), want)


def test_uncertainty_needs_no_label(trained):
    paths, batch, _, _ = trained
    scorer = uncertainty.Uncertainty(*paths, measure="margin")
    assert scorer.reads == ("embedding",)
    assert scorer.score(batch.select(["embedding"])).shape == (batch.num_rows,)
    with pytest.raises(errors.ConfigError, match="measure is 'gini'"):
        uncertainty.Uncertainty(*paths, measure="gini")


def test_a_label_the_probe_does_not_know_is_an_error(trained):
    paths, batch, _, _ = trained
    other = batch.set_column(1, "label", pa.array(["z"] * batch.num_rows))
    with pytest.raises(errors.SchemaError, match="label 'z' of row 0 of a batch is not known"):
        el2n.EL2N(*paths).score(other)


def test_weights_and_labels_must_agree(trained, tmp_path):
    paths, _, _, _ = trained
    (tmp_path / "labels.json").write_text('["a"]')
    with pytest.raises(errors.ArtifactError, match=r"1 labels for weights of shape \(3, 8, 3, 7\)"):
        el2n.EL2N(paths[0], str(tmp_path / "labels.json")).setup()


def test_checkpoints_are_those_of_shorter_looks_at_one_training():
    x, y = clouds(100)
    orders = np.random.default_rng(0).integers(0, 100, (2, 83))
    found = linear_probe.checkpoints(x, y, orders, classes=3, count=4)
    assert found.shape == (2, 4, 3, D + 1)
    assert np.array_equal(found[:, -1], linear_probe.train(x, y, orders, classes=3))
    assert np.linalg.norm(np.diff(found, axis=1), axis=(2, 3)).min() > 0
    with pytest.raises(ValueError, match="12 checkpoints of 11 steps"):
        linear_probe.checkpoints(x, y, orders, classes=3, count=12)
