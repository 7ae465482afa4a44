"""throw-away."""
import numpy as np
from scipy.special import logsumexp


def mixture_cost(masses, b, cost, weights, epsilon):
    a = weights @ masses
    i, j = a > 0, b > 0
    la, lb = np.log(a[i]), np.log(b[j])
    c = cost[np.ix_(i, j)]
    g = np.zeros(j.sum())
    for _ in range(500):
        f = -epsilon * logsumexp((g - c) / epsilon + lb, axis=1)
        new = -epsilon * logsumexp((f[:, None] - c) / epsilon + la[:, None], axis=0)
        if abs(new - g).max() < 1e-7:
            break
        g = new
    full = -epsilon * logsumexp((new - cost[:, j]) / epsilon + lb, axis=1)
    return float(f @ a[i] + new @ b[j]), masses @ full
