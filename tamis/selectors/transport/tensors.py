"""The same pass on a torch device: blocks are computed and reduced there, results come back."""

import numpy as np
from numpy.typing import NDArray

from tamis.selectors.transport import costs, sweeps

# A device wants large blocks: 64 M entries of float32.
_BLOCK_BYTES = 256 << 20


def run(ask: "sweeps.Ask", start: int, end: int) -> "sweeps.Sweep":
    """Rows start to end of a pass over `costs.Points` with a device, as `sweeps` does them.

    The points are copied to the device once a pass. Sums over rows are float64 there too. The
    bytes are the device's own: equal to numpy's to rounding.
    """
    import torch

    points = ask.cost
    assert isinstance(points, costs.Points)  # noqa: S101 -- only they have a device
    x, y, shift, weights = (
        torch.as_tensor(np.ascontiguousarray(v), device=points.device)
        for v in (
            points.x[start:end],
            points.y,
            ask.shift.astype(points.dtype),
            ask.weights[start:end],
        )
    )
    values = None if ask.values is None else torch.as_tensor(ask.values, device=points.device)
    columns = torch.zeros(len(y), dtype=torch.float64, device=points.device)
    parts: list[list[NDArray[np.float64]]] = [[], [], []]
    step = max(1, _BLOCK_BYTES // (points.dtype.itemsize * len(y)))
    for first in range(0, len(x), step):
        rows = x[first : first + step]
        cost = (rows * rows).sum(1)[:, None] - 2 * rows @ y.T + (y * y).sum(1)
        cost = points.scale * cost.clamp_(min=0)
        logits = shift - cost / ask.epsilon
        top = torch.logsumexp(logits, 1)
        share = torch.exp(logits - top[:, None])
        columns += weights[first : first + step] @ share.double()
        parts[0].append(-ask.epsilon * top.double().cpu().numpy())
        if values is not None:
            parts[1].append((share.double() @ values).cpu().numpy())
        if ask.moved:
            parts[2].append((share * cost).sum(1, dtype=torch.float64).cpu().numpy())
    f, mean, moved = (np.concatenate(p) if p else np.empty(0) for p in parts)
    return sweeps.Sweep(f, columns.cpu().numpy()[None], mean, moved)
