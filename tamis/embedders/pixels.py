"""Images by their gradients and their colours: no torch, no weights, no download.

Each image is shrunk to 32 x 32 whatever its shape (Pillow's box filter, integer arithmetic), and
described by

- histograms of oriented gradients (Dalal & Triggs 2005, §6): luma, [-1, 0, 1] gradients, 9 unsigned
  orientations with votes shared linearly between two, cells of 4 x 4 pixels, blocks of 2 x 2 cells
  normalised by L2-Hys (clipped at 0.2); each cell keeps the mean of its normalised copies;
- its colours: 4 x 4 means of red, green and blue, from mid-grey.

The two halves have the same weight. 624 dimensions.

A row's bytes do not depend on its batch: everything is elementwise but sums of fixed length.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamis import decoding

SIDE, CELL, ORIENTATIONS, PATCH = 32, 4, 9, 8
CELLS, PATCHES = SIDE // CELL, SIDE // PATCH
DIMENSION = CELLS * CELLS * ORIENTATIONS + PATCHES * PATCHES * 3
_CLIP, _EPSILON = 0.2, 1e-3
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601
_TOGETHER = 256  # images held decoded

Floats = NDArray[np.float64]


class Pixels:
    """The description of encoded images."""

    def __init__(self) -> None:
        decoding.require("embed.backend: pixels")

    def __call__(self, images: Sequence[bytes]) -> NDArray[np.float32]:
        """Shape (n, 624), about unit norm. Memory is `_TOGETHER` small images and one large one."""
        parts = [np.zeros((0, DIMENSION), np.float32)]
        for start in range(0, len(images), _TOGETHER):
            small = np.stack([_shrunk(data) for data in images[start : start + _TOGETHER]])
            parts.append(features(small))
        return np.concatenate(parts)


def _shrunk(data: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(decoding.picture(data).resize((SIDE, SIDE), Image.Resampling.BOX))


def features(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Shape (n, 32, 32, 3) to (n, 624)."""
    x = small / 255.0
    halves = gradients((x * _LUMA).sum(3)), colours(x)
    sized = [h / np.maximum(np.sqrt((h * h).sum(1, keepdims=True)), _EPSILON) for h in halves]
    return (np.concatenate(sized, axis=1) / np.sqrt(2)).astype(np.float32)


def gradients(grey: Floats) -> Floats:
    """Histograms of oriented gradients of (n, 32, 32) in 0..1: shape (n, 576)."""
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    gx = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    gy = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    size = np.sqrt(gx * gx + gy * gy)
    # Bin b is centred on (b + 1/2) 180/9 degrees; angle and opposite angle are one orientation.
    place = np.arctan2(gy, gx) / np.pi % 1 * ORIENTATIONS - 0.5
    first = np.floor(place)
    share = place - first
    lower = first.astype(np.int64) % ORIENTATIONS
    cells = np.stack(
        [
            _pooled(size * ((1 - share) * (lower == b) + share * ((lower + 1) % ORIENTATIONS == b)))
            for b in range(ORIENTATIONS)
        ],
        axis=3,
    )  # (n, 8, 8, 9)
    return _normalised(cells).reshape(len(grey), -1)


def colours(x: Floats) -> Floats:
    """Mean colour of 4 x 4 patches, from mid-grey: shape (n, 48)."""
    n = len(x)
    means = x.reshape(n, PATCHES, PATCH, PATCHES, PATCH, 3).sum((2, 4)) / PATCH**2
    return (means - 0.5).reshape(n, -1)


def _pooled(votes: Floats) -> Floats:
    n = len(votes)
    return votes.reshape(n, CELLS, CELL, CELLS, CELL).sum((2, 4))


def _normalised(cells: Floats) -> Floats:
    """Each cell as the mean of what the blocks it is in make of it."""
    total, count = np.zeros_like(cells), np.zeros((1, CELLS, CELLS, 1))
    energy = (cells * cells).sum(3, keepdims=True)
    blocks = energy[:, :-1, :-1] + energy[:, 1:, :-1] + energy[:, :-1, 1:] + energy[:, 1:, 1:]
    scale = 1 / np.sqrt(blocks + _EPSILON**2)
    inside = CELLS - 1
    for dy in (0, 1):
        for dx in (0, 1):
            here = (slice(None), slice(dy, dy + inside), slice(dx, dx + inside))
            total[here] += np.minimum(cells[here] * scale, _CLIP)
            count[here] += 1
    return total / count
