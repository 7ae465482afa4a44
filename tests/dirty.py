"""Images as they come: broken in every way that decoders meet."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (40, 60, 3)).astype(np.uint8)


def encoded(image, kind="PNG", **options):
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    sink = io.BytesIO()
    picture.save(sink, kind, **options)
    return sink.getvalue()


def bomb(width, height):
    """A PNG whose header promises more than its few bytes hold."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


_SOLID = np.zeros((8, 8, 3), np.uint8)
FRAMES = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
JPEG = encoded(NOISE, "JPEG")

GOOD = {
    "plain.png": encoded(NOISE),
    "grey.png": encoded(NOISE[..., 0]),
    "cmyk.jpg": encoded(Image.fromarray(NOISE).convert("CMYK"), "JPEG"),
    "palette.gif": encoded(Image.fromarray(NOISE).convert("P"), "GIF"),
    "animated.gif": encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "animated.webp": encoded(
        FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:], lossless=True
    ),
    "a-jpeg.png": JPEG,  # named after another format
    "deep.png": encoded(NOISE[..., 0].astype(np.uint16) * 257),
}
BAD = {
    "bomb.png": (bomb(30_000, 20_000), "image_too_large"),  # 600 megapixels
    "empty.png": (b"", "empty_image"),
    "notes.jpg": (b"this is a text", "not_an_image"),
    "truncated.jpg": (JPEG[: len(JPEG) // 2], "damaged_image"),
    "truncated.png": (GOOD["plain.png"][:400], "damaged_image"),
    "truncated.gif": (GOOD["palette.gif"][:900], "damaged_image"),
    "zeros.png": (bytes(500), "not_an_image"),
}
