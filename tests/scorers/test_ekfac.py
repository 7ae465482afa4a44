"""EK-FAC against dense inverses, automatic gradients and real retraining; VoG against a loop."""

import numpy as np
import pytest
import torch
from scipy import stats

from tamis import errors
from tamis.scorers import ekfac, vog

C, D = 3, 4


def data(n, seed=0, d=D):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, C, n)
    x = np.eye(d)[y] * 1.2 + 0.7 * rng.standard_normal((n, d))
    return torch.tensor(x), torch.tensor(y)


def net(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Linear(D, 5), torch.nn.Tanh(), torch.nn.Linear(5, C)
    ).double()


def automatic(module, x, y, loss):
    """Gradients by one backward pass a row, weight and bias side by side."""
    for row, own in zip(x, y, strict=True):
        module.zero_grad()
        loss(module(row[None]), own[None]).backward()
        yield {
            name: torch.cat([layer.weight.grad, layer.bias.grad[:, None]], 1).numpy().copy()
            for name, layer in module.named_modules()
            if isinstance(layer, torch.nn.Linear)
        }


def half_square(z, y):
    return 0.5 * ((z - y) ** 2).sum()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_gradients_are_those_of_torch(loss):
    x, y = data(11)
    module = net()
    target = y if loss == "cross_entropy" else torch.randn(11, C).double()
    plain = torch.nn.functional.cross_entropy if loss == "cross_entropy" else half_square
    blocks = list(ekfac.Model(module, loss, block=4).gradients(x, target))
    for name in ("0", "2"):
        got = np.concatenate([b[name] for b in blocks])
        want = np.stack([g[name] for g in automatic(module, x, target, plain)])
        np.testing.assert_allclose(got, want, atol=1e-12)


def test_gradients_sum_over_positions_and_shared_layers():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(D, D)
            self.head = torch.nn.Linear(D, C)

        def forward(self, x):
            return self.head(self.layer(torch.tanh(self.layer(x)))).mean(1)

    torch.manual_seed(1)
    module = Twice().double()
    x, y = torch.randn(5, 6, D).double(), torch.tensor([0, 1, 2, 0, 1])
    (got,) = ekfac.Model(module).gradients(x, y)
    want = list(automatic(module, x, y, torch.nn.functional.cross_entropy))
    for name in ("layer", "head"):
        np.testing.assert_allclose(got[name], np.stack([w[name] for w in want]), atol=1e-12)


def spd(n, seed):
    a = np.random.default_rng(seed).standard_normal((n, 2 * n))
    return a @ a.T / n


def test_with_the_product_of_eigenvalues_it_is_kfac():
    a, s = spd(5, 0), spd(3, 1)
    (l_a, q_a), (l_s, q_s) = np.linalg.eigh(a), np.linalg.eigh(s)
    factors = ekfac.Factors(q_a, q_s, np.outer(l_s, l_a))
    v = np.random.default_rng(2).standard_normal((3, 5))
    got = ekfac.preconditioned(factors, v, damping=0.1)
    strength = 0.1 * np.outer(l_s, l_a).mean()
    want = np.linalg.solve(np.kron(s, a) + strength * np.eye(15), v.ravel())
    np.testing.assert_allclose(got.ravel(), want, rtol=1e-9)


def test_one_layer_with_squared_loss_is_the_exact_inverse():
    """There the Gauss-Newton Hessian is E[aa'] (x) I, and the influence that of Newton."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(D, C).double()
    x, y = torch.randn(40, D).double(), torch.randn(40, C).double()
    query, answer = torch.randn(7, D).double(), torch.randn(7, C).double()
    model = ekfac.Model(layer, "squared", block=16)
    factors = model.factors(x, labels="exact")
    got = model.influence(factors, (x, y), (query, answer))
    wide = np.hstack([x.numpy(), np.ones((40, 1))])
    hessian = np.kron(np.eye(C), wide.T @ wide / 40)
    hessian += ekfac.DAMPING * np.diag(hessian).mean() * np.eye(len(hessian))
    own = np.stack([g["0"] if "0" in g else g[""] for g in automatic(layer, x, y, half_square)])
    theirs = np.stack([g[""] for g in automatic(layer, query, answer, half_square)]).mean(0)
    want = own.reshape(40, -1) @ np.linalg.solve(hessian, theirs.ravel())
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_sampled_labels_estimate_the_exact_curvature():
    x, _ = data(4000, seed=3)
    model = ekfac.Model(net(), block=500)
    exact, sampled = model.factors(x, labels="exact"), model.factors(x, seed=1)
    for name, (q_a, q_s, variance) in exact.items():
        full = np.einsum("ia,ja,mb,nb,ba->mnij", q_a, q_a, q_s, q_s, variance)
        b_a, b_s, other = sampled[name]
        near = np.einsum("ia,ja,mb,nb,ba->mnij", b_a, b_a, b_s, b_s, other)
        assert np.linalg.norm(near - full) < 0.08 * np.linalg.norm(full)
    again = model.factors(x, seed=1)
    assert all(np.array_equal(again[n].variance, sampled[n].variance) for n in again)


def test_variance_is_the_second_moment_in_the_eigenbases():
    x, _ = data(30)
    module = net()
    for name, (q_a, q_s, variance) in ekfac.Model(module).factors(x, labels="exact").items():
        assert np.allclose(q_a.T @ q_a, np.eye(len(q_a)))
        p = torch.softmax(module(x), 1).detach().numpy()
        want = np.zeros_like(variance)
        for label in range(C):
            y = torch.full((30,), label)
            grads = automatic(module, x, y, torch.nn.functional.cross_entropy)
            for weight, g in zip(p[:, label], grads, strict=True):
                want += weight * np.square(q_s.T @ g[name] @ q_a) / 30
        np.testing.assert_allclose(variance, want, atol=1e-12)


def fit(module, x, y, rows, decay=0.02):
    """Train the module on some rows to the minimum, from where it is."""
    best = torch.optim.LBFGS(
        module.parameters(), max_iter=300, tolerance_grad=1e-9, line_search_fn="strong_wolfe"
    )

    def closure():
        best.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(x[rows]), y[rows], reduction="sum") / len(x)
        loss = loss + decay / 2 * sum((p**2).sum() for p in module.parameters())
        loss.backward()
        return loss

    best.step(closure)


def test_it_ranks_rows_as_leaving_each_out_does():
    x, y = data(60, seed=5)
    query, answer = data(40, seed=6)
    y[:6] = (y[:6] + 1) % C  # some wrong labels, to have rows that harm
    module, everything = net(2), torch.ones(60, dtype=torch.bool)
    fit(module, x, y, everything)
    model = ekfac.Model(module)
    factors = model.factors(x, labels="exact")
    got = model.influence(factors, (x, y), (query, answer))
    flat = {n: f._replace(variance=np.ones_like(f.variance)) for n, f in factors.items()}
    uncurved = model.influence(flat, (x, y), (query, answer))
    at_start = {k: v.clone() for k, v in module.state_dict().items()}

    def loss():
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(module(query), answer))

    before, change = loss(), []
    for i in range(60):
        rows = everything.clone()
        rows[i] = False
        module.load_state_dict(at_start)
        fit(module, x, y, rows)
        change.append(loss() - before)  # positive: leaving it out hurts, so it helped
    found, plain = (stats.spearmanr(v, change).statistic for v in (got, uncurved))
    assert found > 0.75
    assert found > plain
    assert np.mean(got[:6]) < np.mean(got[6:])


def test_a_module_without_linear_layers_is_an_error():
    with pytest.raises(errors.ConfigError, match="no linear layer"):
        ekfac.Model(torch.nn.Tanh()).factors(torch.zeros(2, 3, requires_grad=True))


def test_no_rows_have_no_influence():
    x, y = data(5)
    model = ekfac.Model(net())
    got = model.influence(model.factors(x), (x[:0], y[:0]), (x, y))
    assert got.shape == (0,)


def test_vog_is_the_spread_of_input_gradients():
    x, y = data(30)
    modules = [net(s) for s in range(4)]
    raw = []
    for row, label in zip(x, y, strict=True):
        slopes = []
        for module in modules:
            inputs = row.clone().requires_grad_()
            module(inputs)[label].backward()
            slopes.append(inputs.grad.numpy())
        raw.append(np.sqrt(np.mean((slopes - np.mean(slopes, 0)) ** 2, 0)).mean())
    want = np.array(raw)
    for label in range(C):
        own = y.numpy() == label
        want[own] = stats.zscore(want[own])
    np.testing.assert_allclose(vog.vog(modules, x, y, block=7), want, atol=1e-10)
    with pytest.raises(ValueError, match="1 checkpoints have no variance"):
        vog.vog(modules[:1], x, y)


def test_a_class_without_spread_scores_zero():
    assert vog.standardised(np.array([5.0, 1, 2, 3]), np.array([7, 0, 0, 0])).tolist()[0] == 0
