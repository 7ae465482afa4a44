"""A tiny language model on bytes: pilots for texts without labels.

A causal transformer (Vaswani et al. 2017; normalised before each block, as in Xiong et al. 2020)
that reads the first `length` bytes of a text, trained with Adam whose rate falls linearly to zero.
Its error is the bits it needs for a byte of the target over the 8 that a byte has: 1 is knowing
nothing, which is where it starts, and a text ends with a byte that is predicted too.

Two layers of 32 are 40,000 parameters: about 850 texts of 96 bytes a second on one core. Of rates
from 0.005 to 0.04, 0.02 was best or near it on docstrings, from 128 texts to 2,000. One thread
is used, so that sums have one order and the same run gives the same bytes on one machine.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis import errors, seeding
from tamis.pilots import protocol

BYTES = 256
LENGTH = 96
_HEAD = 16  # width of an attention head
_TARGET_ROWS = 512  # of the target, evenly spread: their mean is known to about 1 percent
_EVALUATED = 128  # rows evaluated together


@dataclasses.dataclass(frozen=True)
class TinyLM:
    """The model and its training.

    Attributes:
      width: Of the residual stream, a multiple of 16.
      layers: Blocks.
      learning_rate: Of Adam's first step.
      batch: Texts a step.
    """

    width: int = 32
    layers: int = 2
    learning_rate: float = 2e-2
    batch: int = 8

    def __post_init__(self) -> None:
        if self.width < _HEAD or self.width % _HEAD or self.layers < 1 or self.batch < 1:
            raise errors.ConfigError(
                f"width {self.width}, layers {self.layers}, batch {self.batch}",
                where="pilot.options",
                remedy=f"width is a multiple of {_HEAD}, the others at least 1",
            )

    def errors(
        self,
        rows: protocol.Rows,
        orders: NDArray[np.int64],
        targets: Sequence[protocol.Rows],
        *,
        seeds: Sequence[int],
    ) -> NDArray[np.float64]:
        """Shape (targets, runs), bits over 8. Rows are (n, length) bytes, 0 after the text."""
        found = np.empty((len(targets), len(orders)))
        with _one_thread():
            for j, (order, seed) in enumerate(zip(orders, seeds, strict=True)):
                parameters = self.train(rows[0], order, seed)
                found[:, j] = [self.bits(parameters, _spread(y)) / 8 for y, _ in targets]
        return found

    def train(self, x: NDArray[np.uint8], order: NDArray[np.int64], seed: int) -> list[Any]:
        """One run's parameters, as torch tensors."""
        import torch

        parameters = [torch.from_numpy(p).requires_grad_() for p in self.initial(x.shape[1], seed)]
        adam = torch.optim.Adam(parameters, self.learning_rate, betas=(0.9, 0.98))
        steps = -(-len(order) // self.batch)
        for i in range(steps):
            adam.param_groups[0]["lr"] = self.learning_rate * (1 - i / steps)
            loss, count = self.loss(parameters, x[order[i * self.batch : (i + 1) * self.batch]])
            adam.zero_grad()
            (loss / count).backward()
            adam.step()
        return [p.detach() for p in parameters]

    def bits(self, parameters: list[Any], x: NDArray[np.uint8]) -> float:
        """Mean bits for a byte of (m, length) texts."""
        import torch

        total, count = 0.0, 0.0
        with torch.no_grad():
            for start in range(0, len(x), _EVALUATED):
                loss, n = self.loss(parameters, x[start : start + _EVALUATED])
                total, count = total + float(loss), count + float(n)
        return total / count / float(np.log(2))

    def initial(self, length: int, seed: int) -> list[NDArray[np.float32]]:
        """Embedding, positions, and four matrices a block; the last of each starts at zero."""
        w, rng = self.width, seeding.generator(seed, "tiny-lm")

        def normal(*shape: int) -> NDArray[np.float32]:
            return np.asarray(rng.standard_normal(shape), np.float32)

        scale = np.float32(w**-0.5)
        blocks = [
            p
            for _ in range(self.layers)
            for p in (
                normal(w, 3 * w) * scale,
                np.zeros((w, w), np.float32),
                normal(w, 4 * w) * scale,
                np.zeros((4 * w, w), np.float32),
            )
        ]
        # The last matrix is to zero too, so that every byte is as likely before any training.
        return [
            normal(BYTES, w),
            normal(length, w) * scale,
            *blocks,
            np.zeros((w, BYTES), np.float32),
        ]

    def loss(self, parameters: list[Any], x: NDArray[np.uint8]) -> tuple[Any, Any]:
        """Summed cross-entropy in nats of (b, length) texts, and how many bytes that is."""
        import torch

        tokens = torch.from_numpy(np.asarray(x, np.int64))
        before = torch.nn.functional.pad(tokens[:, :-1], (1, 0))
        scores = self.scores(parameters, before)
        told = torch.ones_like(tokens)  # the first byte always; the others up to the first 0
        told[:, 1:] = (tokens[:, :-1] != 0).long().cumprod(1)
        each = torch.nn.functional.cross_entropy(
            scores.flatten(0, 1), tokens.flatten(), reduction="none"
        )
        return (each * told.flatten()).sum(), told.sum()

    def scores(self, parameters: list[Any], tokens: Any) -> Any:  # noqa: ANN401 - torch tensors
        """Logits of the next byte at every position: (b, length) to (b, length, 256)."""
        from torch.nn import functional

        embedding, positions, *blocks, head = parameters
        b, length = tokens.shape

        def norm(h: Any) -> Any:  # noqa: ANN401 - torch tensors
            return functional.rms_norm(h, (self.width,))

        def heads(h: Any) -> Any:  # noqa: ANN401
            return h.view(b, length, -1, _HEAD).transpose(1, 2)

        x = embedding[tokens] + positions[:length]
        for qkv, out, up, down in zip(*(blocks[i::4] for i in range(4)), strict=True):
            q, k, v = (heads(h) for h in (norm(x) @ qkv).chunk(3, -1))
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + seen.transpose(1, 2).reshape(b, length, self.width) @ out
            x = x + functional.gelu(norm(x) @ up) @ down
        return norm(x) @ head


def _spread(x: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """At most `_TARGET_ROWS` rows, evenly spread."""
    return x[np.unique(np.linspace(0, len(x) - 1, min(len(x), _TARGET_ROWS)).round().astype(int))]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    try:
        import torch
    except ImportError as error:
        raise errors.ConfigError(
            "pilot.kind: tiny-lm needs torch", why=str(error), remedy="pip install 'tamis[embed]'"
        ) from error
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
