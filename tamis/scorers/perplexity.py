"""Perplexity under a language model: how surprising is a text, per token?

    log perplexity = -(1/T) sum_t log p(token_t | tokens before)

CCNet (Wenzek et al. 2020) keeps what a model of Wikipedia finds likely; Marion et al. (2023, When
less is more) find the middle best and Ankner et al. (2024) the unlikely, so `keep` is yours to say.
"""

import dataclasses
import functools
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import errors
from tamis.schemas import columns
from tamis.scorers import difficulty, fitted, grams

Backend = Literal["kenlm", "transformers"]


class Likelihood(NamedTuple):
    """Of each text.

    Attributes:
      log_probability: Shape (n,), natural logarithms, summed over its tokens.
      tokens: Shape (n,), how many were predicted, at least 1.
    """

    log_probability: NDArray[np.float64]
    tokens: NDArray[np.int64]


class LanguageModel(Protocol):
    """A loaded model; what it says of a text may not depend on the texts beside it."""

    def __call__(self, text: pa.Array) -> Likelihood:
        """The likelihood of each text, none of them null."""
        ...


def log_perplexity(found: Likelihood) -> NDArray[np.float32]:
    """Shape (n,), at least 0, in nats a token."""
    return (-found.log_probability / found.tokens).astype(np.float32)


class KenLM:
    """An n-gram model that KenLM reads (Heafield 2011): ARPA or its binary, words by white space.

    The end of a text is a token, and a word that the model has not is its `<unk>`. A call for each
    text, of about a microsecond a word.
    """

    def __init__(self, path: str) -> None:
        try:
            import kenlm
        except ImportError as error:
            raise _missing("kenlm", "perplexity", error) from error
        try:
            self._model = kenlm.Model(path)
        except OSError as error:
            raise errors.ConfigError(
                f"score.perplexity.model: KenLM cannot read {path}",
                why=str(error).strip().splitlines()[0],
                remedy="give an ARPA file, or the binary that build_binary makes of one",
            ) from error

    def __call__(self, text: pa.Array) -> Likelihood:
        """Of the words, then the end of the text."""
        words = grams.split(grams.checked(text))
        scores = [self._model.score(" ".join(t.split())) for t in text.to_pylist()]
        count = words.count(np.ones(len(words.of), np.int64)) + 1
        return Likelihood(np.array(scores, np.float64) * np.log(10), count)


class CausalLM:
    """Any causal language model of `transformers`, a folder or a hub id, on the CPU or a GPU.

    A text is a forward pass of its own: padded into a batch, its last bits would depend on the
    texts beside it. Remote code stays off and weights must be safetensors: a model is untrusted
    input.
    """

    def __init__(self, path: str, tokens: int) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise _missing("transformers", "embed", error) from error
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path)
            self._model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                path, trust_remote_code=False, use_safetensors=True
            )
        except Exception as error:  # the library raises whatever its parts raise
            raise errors.ConfigError(
                f"score.perplexity.model: cannot load {path}",
                why=(str(error).strip().splitlines() or [type(error).__name__])[0],
                remedy="check the folder, or that the hub can be reached from here",
            ) from error
        self._model = self._model.to(device).eval()
        self._tokens, self._device = tokens, device

    def __call__(self, text: pa.Array) -> Likelihood:
        """Of at most `tokens` tokens after the first; a text without any is a flat guess."""
        found = [self._one(t) for t in text.to_pylist()]
        sums = np.array([s for s, _ in found], np.float64)
        return Likelihood(sums, np.array([n for _, n in found], np.int64))

    def _one(self, text: str) -> tuple[float, int]:
        import torch

        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"][: self._tokens]
        first = self._tokenizer.bos_token_id
        first = self._tokenizer.eos_token_id if first is None else first
        given = ids if first is None else [first, *ids]
        if len(given) < 2:
            return -float(np.log(self._model.config.vocab_size)), 1
        with torch.inference_mode():
            inputs = torch.tensor([given], device=self._device)
            logits = self._model(inputs).logits[0, :-1].double()
            chosen = torch.log_softmax(logits, -1).gather(1, inputs[0, 1:, None])
        return float(chosen.sum()), len(given) - 1


def _missing(package: str, extra: str, error: ImportError) -> errors.ConfigError:
    return errors.ConfigError(
        f"score.perplexity needs {package}",
        why=str(error),
        remedy=f"pip install 'tamis[{extra}]'",
    )


@dataclasses.dataclass(frozen=True)
class Perplexity(fitted.Fitted):
    """Perplexity under a model of your own. Costs what the model costs.

    Attributes:
      model: A file that KenLM reads; a folder or hub id of `transformers`.
      backend: Which of the two.
      tokens: Of a text that `transformers` looks at.
      keep: `easy` scores likely texts highest, `hard` the surprising.
      name: Of the sidecar.
    """

    model: str
    backend: Backend = "kenlm"
    tokens: int = 512
    keep: difficulty.Keep = "easy"
    name: str = "perplexity"
    reads: ClassVar[tuple[str, ...]] = (columns.TEXT,)

    def __post_init__(self) -> None:
        difficulty.check(self.keep, self.name)
        if self.backend not in get_args(Backend) or self.tokens < 1:
            raise errors.ConfigError(
                f"backend {self.backend!r} and tokens {self.tokens}",
                where=self.name,
                remedy=f"set backend to {' or '.join(get_args(Backend))}, tokens to 1 or more",
            )

    @functools.cached_property
    def _artifact(self) -> LanguageModel:
        if self.backend == "kenlm":
            return KenLM(self.model)
        return CausalLM(self.model, self.tokens)

    def score(self, batch: pa.RecordBatch) -> NDArray[np.float32]:
        found = log_perplexity(self._artifact(batch.column(columns.TEXT)))
        return difficulty.oriented(found, self.keep)
