"""Rules for images, as one score: the share of rules passed.

==============  =============================================  =================================
rule            passes when                                    from
==============  =============================================  =================================
readable        it decodes, and has at most `max_pixels`       ours
large           the shorter side has 200 pixels or more        DataComp, Gadre et al. 2023, §4.3
near_square     the longer side is less than 3 times as long   DataComp §4.3
sharp           variance of the Laplacian is 100 or more       Pech-Pacheco et al. 2000; the
                                                               threshold is ours
varied          entropy of the grey levels is 3 bits or more   ours: a plain colour has 0
==============  =============================================  =================================

Images are untrusted input: the header is read first, and nothing above `max_pixels` is decoded.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import decoding
from tamis.schemas import columns

_RULES = 5


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian over the inside of an image (h, w) of grey levels 0..255.

    The kernel [[0, 1, 0], [1, -4, 1], [0, 1, 0]]; 0 for an image without an inside. Low where edges
    are blurred or there are none (Pech-Pacheco et al. 2000, LAPV). O(h w).
    """
    x = grey.astype(np.int64)
    inside = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:] - 4 * x[1:-1, 1:-1]
    return float(inside.var()) if inside.size else 0.0


def entropy(grey: NDArray[np.uint8]) -> float:
    """Shannon entropy of the histogram of grey levels, 0..8 bits. O(h w).

    >>> entropy(np.array([[0, 255], [0, 255]], np.uint8))
    1.0
    """
    share = np.bincount(grey.ravel(), minlength=256) / max(grey.size, 1)
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum()) + 0.0


class Measured(NamedTuple):
    """Of one image.

    Attributes:
      width: Pixels.
      height: Pixels.
      sharpness: Of `sharpness`.
      entropy: Of `entropy`, bits.
    """

    width: int
    height: int
    sharpness: float
    entropy: float


def measure(grey: NDArray[np.uint8]) -> Measured:
    """All numbers of one image (h, w) of grey levels."""
    height, width = grey.shape
    return Measured(width, height, sharpness(grey), entropy(grey))


def grey(data: bytes, max_pixels: int) -> NDArray[np.uint8] | None:
    """An encoded image, by the rule of `decoding`, as grey levels (h, w); None where that fails.

    Luma of ITU-R 601, as Pillow converts. Larger images than `max_pixels` are not decoded.
    """
    try:
        return np.asarray(decoding.picture(data, max_pixels).convert("L"))
    except decoding.UnreadableError:
        return None


@dataclasses.dataclass(frozen=True)
class ImageRules:
    """Share of rules passed, 0..1; 0 where an image cannot be read. An image at a time.

    Attributes are the thresholds of the module's table.
    """

    min_side: int = 200
    max_aspect: float = 3.0
    min_sharpness: float = 100.0
    min_entropy: float = 3.0
    max_pixels: int = decoding.MAX_PIXELS
    name: str = "image_rules"
    reads: ClassVar[tuple[str, ...]] = (columns.IMAGE,)

    def setup(self) -> None:
        decoding.require("score.image_rules")

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        images: list[Any] = batch.column(columns.IMAGE).to_pylist()
        passed = [self._passed(grey(data, self.max_pixels)) for data in images]
        return (np.array(passed, np.float32) / np.float32(_RULES)).astype(np.float32)

    def _passed(self, image: NDArray[np.uint8] | None) -> int:
        if image is None:
            return 0
        found = measure(image)
        short, long = sorted((found.width, found.height))
        rules = (
            short >= self.min_side,
            long < self.max_aspect * short,
            found.sharpness >= self.min_sharpness,
            found.entropy >= self.min_entropy,
        )
        return 1 + sum(rules)
