"""The description of images, against a plain loop over its pixels."""

import math

import numpy as np

from tamis.embedders import pixels
from tests import dirty

RNG = np.random.default_rng(3)


def plain_gradients(grey):
    """Dalal & Triggs, one pixel, one vote and one block at a time."""
    cells = np.zeros((8, 8, 9))
    at = lambda y, x: grey[min(max(y, 0), 31), min(max(x, 0), 31)]  # noqa: E731
    for y in range(32):
        for x in range(32):
            gx, gy = at(y, x + 1) - at(y, x - 1), at(y + 1, x) - at(y - 1, x)
            degrees = math.degrees(math.atan2(gy, gx)) % 180
            place = degrees / 20 - 0.5
            low, share = math.floor(place), place - math.floor(place)
            cells[y // 4, x // 4, low % 9] += math.hypot(gx, gy) * (1 - share)
            cells[y // 4, x // 4, (low + 1) % 9] += math.hypot(gx, gy) * share
    copies = [[[] for _ in range(8)] for _ in range(8)]
    for y in range(7):
        for x in range(7):
            block = cells[y : y + 2, x : x + 2]
            norm = math.sqrt((block**2).sum() + 1e-6)
            for dy in (0, 1):
                for dx in (0, 1):
                    copies[y + dy][x + dx].append(np.minimum(block[dy, dx] / norm, 0.2))
    return np.array([[np.mean(c, axis=0) for c in row] for row in copies]).ravel()


def test_gradients_are_those_of_the_plain_loop():
    grey = RNG.random((3, 32, 32))
    np.testing.assert_allclose(
        pixels.gradients(grey), [plain_gradients(g) for g in grey], atol=1e-12
    )


def test_an_edge_votes_for_its_orientation():
    upright = np.zeros((1, 32, 32))
    upright[:, :, 16:] = 1  # the gradient points to the right: 0 degrees, between the outer bins
    found = pixels.gradients(upright).reshape(8, 8, 9).sum((0, 1))
    assert found[0] == found[8] > 0
    assert found[1:8].max() == 0


def test_colours_are_means_of_patches():
    x = RNG.random((2, 32, 32, 3))
    found = pixels.colours(x).reshape(2, 4, 4, 3)
    np.testing.assert_allclose(found[1, 2, 3], x[1, 16:24, 24:32].mean((0, 1)) - 0.5)


def test_every_readable_image_has_a_direction_whatever_its_batch():
    images = [*dirty.GOOD.values()] * 40  # more than are held decoded
    model = pixels.Pixels()
    whole = model(images)
    assert whole.shape == (len(images), pixels.DIMENSION)
    assert np.linalg.norm(whole, axis=1).min() > 0.7
    alone = np.concatenate([model(images[i : i + 1]) for i in range(8)])
    assert np.array_equal(whole[:8], alone)
    assert np.array_equal(whole[8:16], alone)
    assert model([]).shape == (0, pixels.DIMENSION)


def test_contrast_does_not_matter_to_gradients_and_colour_does_to_colours():
    image = RNG.integers(0, 128, (1, 32, 32, 3)).astype(np.uint8)
    a, b = pixels.features(image), pixels.features(image * 2)
    half = 8 * 8 * 9
    assert 2 * (a[:, :half] @ b[:, :half].T) > 0.999
    red, blue = (dirty.encoded(f) for f in dirty.FRAMES)
    x = pixels.Pixels()([red, blue])
    assert x[0] @ x[1] < 0  # no edges; opposite colours
