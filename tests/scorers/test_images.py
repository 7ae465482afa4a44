"""Image rules on arrays, against scipy; decoding; image-text agreement."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from scipy import ndimage, stats

from tamis import testing
from tamis.schemas import embeddings
from tamis.scorers import image_rules, image_text

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (240, 320)).astype(np.uint8)


def encoded(array, kind="PNG"):
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, kind)
    return sink.getvalue()


def score(*images, **limits):
    batch = pa.record_batch({"image": pa.array(images, pa.binary())})
    return image_rules.ImageRules(**limits).score(batch).tolist()


def test_sharpness_is_the_variance_of_scipy_s_laplacian():
    theirs = ndimage.laplace(NOISE.astype(float))[1:-1, 1:-1].var()
    assert image_rules.sharpness(NOISE) == pytest.approx(theirs)
    blurred = ndimage.gaussian_filter(NOISE, 4)
    assert image_rules.sharpness(blurred) < theirs / 1000
    assert image_rules.sharpness(NOISE[:2]) == 0


def test_entropy_is_scipy_s():
    counts = np.bincount(NOISE.ravel(), minlength=256)
    assert image_rules.entropy(NOISE) == pytest.approx(stats.entropy(counts, base=2))
    assert image_rules.entropy(np.full((9, 9), 7, np.uint8)) == 0


@pytest.mark.parametrize(
    ("image", "passed"),
    [
        (NOISE, 5),
        (NOISE[:150], 4),  # small
        (np.tile(NOISE, (1, 3)), 4),  # 960 x 240 is too long
        (ndimage.gaussian_filter(NOISE, 4), 4),  # blurred; still many levels of grey
        (np.full((240, 320), 90, np.uint8), 3),  # one colour has no edges either
    ],
)
def test_each_rule_fires_on_what_it_is_for(image, passed):
    assert score(encoded(image)) == [pytest.approx(passed / 5)]


def test_what_cannot_be_read_passes_nothing():
    whole = encoded(NOISE)
    assert score(b"", b"not an image", whole[: len(whole) // 2], whole) == [0, 0, 0, 1]


def test_a_bomb_is_not_decoded():
    """Its header says 320 x 240; the limit is below that."""
    assert score(encoded(NOISE), max_pixels=320 * 240 - 1) == [0]
    assert score(encoded(NOISE), max_pixels=320 * 240) == [1]


def test_colours_become_luma():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 255
    assert np.all(image_rules.grey(encoded(red), 100) == 76)  # 0.299 * 255


def test_agreement_is_the_cosine():
    a, b = RNG.standard_normal((2, 50, 12)).astype(np.float32)
    expected = np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(image_text.cosine(a, b), expected, atol=1e-6)
    assert image_text.cosine(a, 3 * a) == pytest.approx(1)
    rows = pa.record_batch({"image_embedding": embeddings.column(a), "x": embeddings.column(b)})
    testing.check_scorer(image_text.ImageText(text="x"), rows)
    with pytest.raises(ValueError, match="row 1 has norm 0"):
        image_text.cosine(np.array([[1.0], [0.0]]), np.ones((2, 1)))
