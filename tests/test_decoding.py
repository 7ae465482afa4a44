"""One rule for all images, held against what the pixels must be."""

import numpy as np
import pytest
from PIL import Image

from tamis import decoding
from tests import dirty


@pytest.mark.parametrize("name", dirty.GOOD)
def test_whatever_can_be_read_becomes_rgb(name):
    found = decoding.rgb(dirty.GOOD[name])
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[2] == 3


@pytest.mark.parametrize("name", dirty.BAD)
def test_whatever_cannot_says_why(name):
    data, reason = dirty.BAD[name]
    with pytest.raises(decoding.UnreadableError) as told:
        decoding.rgb(data, decoding.MAX_PIXELS)
    assert told.value.reason == reason
    assert str(told.value)


def test_pixels_are_kept():
    assert np.array_equal(decoding.rgb(dirty.GOOD["plain.png"]), dirty.NOISE)
    assert np.array_equal(decoding.rgb(dirty.GOOD["grey.png"])[..., 1], dirty.NOISE[..., 0])
    # 16 bits by their upper byte: 257 x is x above x.
    assert np.array_equal(decoding.rgb(dirty.GOOD["deep.png"])[..., 2], dirty.NOISE[..., 0])


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp"])
def test_of_an_animation_the_first_frame(name):
    assert (decoding.rgb(dirty.GOOD[name]) == [255, 0, 0]).all()


def test_what_is_transparent_lies_on_white():
    layer = Image.new("RGBA", (4, 4), (200, 0, 0, 51))  # a fifth of red
    assert (decoding.rgb(dirty.encoded(layer)) == [244, 204, 204]).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    assert (decoding.rgb(dirty.encoded(palette, transparency=1)) == 255).all()


def test_exif_turns():
    image = Image.fromarray(dirty.NOISE)
    exif = image.getexif()
    exif[0x0112] = 6  # the top of the picture is the right side
    found = decoding.rgb(dirty.encoded(image, exif=exif))
    assert np.array_equal(found, np.rot90(dirty.NOISE, -1))


def test_the_limit_is_of_the_header_and_to_the_pixel():
    data = dirty.GOOD["plain.png"]
    decoding.rgb(data, 40 * 60)
    with pytest.raises(decoding.UnreadableError, match="60 x 40 pixels, the limit is 2,399"):
        decoding.rgb(data, 40 * 60 - 1)


def test_numbers_without_a_range_are_refused():
    data = dirty.encoded(Image.fromarray(dirty.NOISE[..., 0].astype(np.float32)), "TIFF")
    with pytest.raises(decoding.UnreadableError, match="no range"):
        decoding.rgb(data)
