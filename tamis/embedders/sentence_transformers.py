"""Any sentence-transformers model, on the CPU or a GPU: of texts, or of images too, as CLIP is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamis import decoding, errors
from tamis.schemas import intake


class SentenceTransformers:
    """A model folder or hub id.

    Remote code stays off and weights must be safetensors: a model is untrusted input.
    """

    def __init__(self, section: intake.Embed) -> None:
        try:
            import sentence_transformers
        except ImportError as error:
            raise errors.ConfigError(
                "embed.backend: sentence-transformers is not installed",
                why=str(error),
                remedy="pip install 'tamis[embed]'",
            ) from error
        self._batch = section.batch
        device = _device(section)
        try:
            self._model: Any = sentence_transformers.SentenceTransformer(
                _folder(section.model, plain=section.pooling == "rds"),
                device=device,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except Exception as error:  # the library raises whatever its parts raise
            raise _unreadable(section.model, error) from error
        if section.pooling == "rds":
            self._model = _position_weighted(self._model, device)
        if section.precision != "float32":
            self._model.to(dtype=_dtype(section.precision))

    def __call__(self, values: Sequence[str] | Sequence[bytes]) -> NDArray[np.float32]:
        """Shape (n, d). Texts are bucketed by length inside the call, as `encode` does.

        Images are decoded a batch at a time.
        """
        if not values or isinstance(values[0], str):
            return self._encoded(values)
        starts = range(0, len(values), self._batch)
        decoded = ([decoding.picture(v) for v in values[i : i + starts.step]] for i in starts)  # type: ignore[arg-type]
        return np.concatenate([self._encoded(pictures) for pictures in decoded])

    def _encoded(self, values: Sequence[Any]) -> NDArray[np.float32]:
        batch = self._batch
        while True:
            try:
                x = self._model.encode(
                    list(values), batch_size=batch, convert_to_numpy=True, show_progress_bar=False
                )
                return np.asarray(x, np.float32)
            except RuntimeError as error:
                if "out of memory" not in str(error) or batch == 1:
                    raise
                batch //= 2
                self._batch = batch  # it will not fit next time either


def _device(section: intake.Embed) -> str:
    import torch

    if torch.cuda.is_available() and section.device != "cpu":
        return "cuda"
    if section.device == "cuda" and not section.allow_cpu:
        raise errors.ConfigError(
            "embed.device: cuda, but there is no GPU",
            why="torch sees no CUDA device",
            remedy="use device: auto, or set allow_cpu: true",
        )
    return "cpu"


def _dtype(precision: str) -> Any:  # noqa: ANN401 - a torch.dtype
    import torch

    return getattr(torch, precision)


def _position_weighted(model: Any, device: str) -> Any:  # noqa: ANN401 - a SentenceTransformer
    """The same transformer, pooled by RDS+ (Ivison et al. 2025, §3.2).

    e = sum_i w_i h_i over the last hidden states, w_i = i / sum_j j: in a causal model later states
    have seen more. sentence-transformers counts positions from the left of the padded batch, so
    padding must stand at the right, where the mask takes it out.
    """
    import sentence_transformers

    transformer, mean = model[0], model[1]
    transformer.tokenizer.padding_side = "right"
    pooling = type(mean)(transformer.auto_model.config.hidden_size, "weightedmean")
    return sentence_transformers.SentenceTransformer(modules=[transformer, pooling], device=device)


def _folder(model: str, *, plain: bool) -> str:
    """A folder as it is; a name that looks like a path must be one.

    Args:
      model: Folder or hub id.
      plain: Whether a transformer alone will do, without modules of sentence-transformers.
    """
    looks_local = model.startswith((".", "/", "~")) or Path(model).exists()
    needed = "config.json" if plain else "modules.json"
    if looks_local and not (Path(model).expanduser() / needed).is_file():
        raise errors.ConfigError(
            f"embed.model: {model} is not a sentence-transformers folder",
            why=f"it has no {needed}" if Path(model).expanduser().is_dir() else "no such folder",
            remedy="give the folder that SentenceTransformer.save wrote, or a hub id",
        )
    return str(Path(model).expanduser()) if looks_local else model


def _unreadable(model: str, error: Exception) -> errors.ConfigError:
    if isinstance(error, errors.ConfigError):
        return error
    why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return errors.ConfigError(
        f"embed.model: cannot load {model}",
        why=why,
        remedy="check the folder, or that the hub can be reached from here",
    )
