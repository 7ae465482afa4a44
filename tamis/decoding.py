"""Encoded images to RGB, by one rule and within limits.

The rule, whatever a file is called:

- BMP, GIF, JPEG, PNG, TIFF and WebP, told by the bytes and never by the name;
- the header's size is checked before anything is decoded;
- of an animation, the first frame;
- turned as its EXIF orientation says;
- what is transparent lies on white;
- 16 bits a channel become 8 by their upper byte; palettes, grey and CMYK become RGB as Pillow
  converts them, without colour profiles. Floating-point pixels have no range, and are refused.

Whether an image can be decoded is found once, when it is ingested, in a process of its own
(`tamis.isolation`); what the index names has the same bytes ever after, and is decoded in place.
"""

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis import errors

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
EXTENSIONS = ("bmp", "gif", "jpg", "jpeg", "png", "tif", "tiff", "webp")
MAX_PIXELS = 50_000_000  # a 50-megapixel photograph; 0.4 GB while it is decoded
HIGHEST_LIMIT = 178_956_970  # above it Pillow itself refuses to open an image
MAX_BYTES = 64 << 20  # of one encoded image


class UnreadableError(ValueError):
    """An image that cannot be used; `reason` is one of `schemas.rejected.REASONS`."""

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def rgb(data: bytes, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """An encoded image as shape (h, w, 3), levels 0..255.

    Args:
      data: The file's bytes.
      max_pixels: Larger images are refused by their header; None where that was seen to before.

    Raises:
      UnreadableError: with the reason.

    Memory is about 8 bytes a pixel.
    """
    return np.asarray(picture(data, max_pixels))


def picture(data: bytes, max_pixels: int | None = None) -> Any:  # noqa: ANN401 - a PIL image
    """The same as a `PIL.Image` of mode RGB."""
    if not data:
        raise UnreadableError("empty_image", "0 bytes")
    if len(data) > MAX_BYTES:
        raise UnreadableError("image_too_large", f"{len(data):,} bytes, at most {MAX_BYTES:,}")
    with _opened(data) as image:
        if max_pixels is not None and image.width * image.height > max_pixels:
            raise UnreadableError(
                "image_too_large",
                f"{image.width:,} x {image.height:,} pixels, the limit is {max_pixels:,}",
            )
        try:
            image.load()
            return _flat(_upright(image))
        except UnreadableError:
            raise
        except Exception as error:
            raise UnreadableError("damaged_image", _first_line(error)) from error


def require(what: str) -> None:
    """Raise unless Pillow is there.

    Raises:
      ConfigError: naming what needs it.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise errors.ConfigError(
            f"{what} needs Pillow", why=str(error), remedy="pip install 'tamis[image]'"
        ) from error


def _opened(data: bytes) -> Any:  # noqa: ANN401 - a PIL image
    import PIL
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    # Pillow's own limit, as an error or, where warnings are errors, as a warning.
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError("image_too_large", _first_line(error)) from error
    except PIL.UnidentifiedImageError as error:
        raise UnreadableError("not_an_image", f"none of {', '.join(FORMATS)}") from error
    except Exception as error:  # whatever a parser raises on a damaged header
        raise UnreadableError("damaged_image", _first_line(error)) from error


def _upright(image: Any) -> Any:  # noqa: ANN401 - PIL images
    """Turned by its EXIF orientation, or as it is where that cannot be read."""
    from PIL import ImageOps

    with contextlib.suppress(Exception):
        return ImageOps.exif_transpose(image)
    return image


def _flat(image: Any) -> Any:  # noqa: ANN401 - PIL images
    """Eight bits of red, green and blue, nothing transparent."""
    from PIL import Image

    if image.mode == "F":
        raise UnreadableError("damaged_image", "floating-point pixels have no range")
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip
        levels = np.clip(np.asarray(image).astype(np.int64), 0, 65_535) >> 8
        return Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
