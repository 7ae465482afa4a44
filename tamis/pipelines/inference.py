"""Beam's RunInference around the embedding writer.

A module of its own, imported when a model is about to run: `apache_beam.ml` imports torch wherever
that is installed, which takes 2 s and half a gigabyte that the other stages can do without.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference import base

from tamis import embedders
from tamis.pipelines import embed, engine
from tamis.schemas import intake, shards


def transform(write: embed.Write, section: intake.Embed) -> beam.PTransform:
    """Spans to the names of the shards embedded."""
    run = base.RunInference(Handler(write, section))
    if section.accelerator:
        return run.with_resource_hints(accelerator=section.accelerator)
    return run


class Handler(base.ModelHandler[shards.Span, str, embedders.Embedder]):
    """Span to its shards' embedding sidecars; the model is loaded once per process."""

    def __init__(self, write: embed.Write, section: intake.Embed) -> None:
        super().__init__()
        self._write, self._section = write, section

    def load_model(self) -> embedders.Embedder:
        with engine.carried():
            return embedders.load(self._section)

    def batch_elements_kwargs(self) -> dict[str, int]:
        """One span at a time: texts are batched inside it, where their order is fixed."""
        return {"min_batch_size": 1, "max_batch_size": 1}

    def share_model_across_processes(self) -> bool:
        return self._section.backend == "sentence-transformers" and self._section.device != "cpu"

    def get_metrics_namespace(self) -> str:
        return "tamis"

    def run_inference(
        self,
        batch: Sequence[shards.Span],
        model: embedders.Embedder,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[str]:
        with engine.carried():
            for span in batch:
                yield from self._write.span(span, model)
