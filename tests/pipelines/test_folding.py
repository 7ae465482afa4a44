"""What travels between workers, and folds through Beam against the same folds run directly."""

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.coders import typecoders
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from tamis import folds
from tamis.pipelines import chain, cluster, coders, dedup, folding, sample, session, strata
from tamis.schemas import shards


@pytest.fixture
def opened(finished, configured):
    with chain.opened(configured(finished)) as here:
        yield here


def test_a_slice_of_a_big_batch_encodes_small():
    big = pa.record_batch({"x": np.zeros(1_000_000)})
    coder = typecoders.registry.get_coder(pa.RecordBatch)
    assert isinstance(coder, coders.RecordBatchCoder)
    encoded = coder.encode(big.slice(500, 10))
    assert len(encoded) < 1000
    assert coder.decode(encoded).equals(big.slice(500, 10))
    assert coder.is_deterministic()


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_a_batch_survives_the_trip(rows):
    schema = pa.schema([pa.field("v", pa.list_(pa.float16(), 2)), pa.field("s", pa.string())])
    value = [{"v": [np.float16(1), np.float16(2)], "s": None}] * rows
    batch = pa.RecordBatch.from_pylist(value, schema)
    coder = coders.RecordBatchCoder()
    assert coder.decode(coder.encode(batch)).equals(batch)


def test_steps_that_carry_batches_say_so(opened):
    """Without the annotation Beam would pickle them."""
    pipeline = beam.Pipeline(runner=FnApiRunner())
    spans = session.spans(pipeline, opened.cut("supply"))
    assert spans.element_type is shards.Span
    read = spans | "read" >> beam.ParDo(folding.Read(opened.view(), ("uid",))).with_output_types(
        pa.RecordBatch
    )
    assert read.element_type is pa.RecordBatch
    typed = folding.Read(opened.view(), ()).get_type_hints().simple_output_type("read")
    assert typed is pa.RecordBatch
    suspects = spans | "suspects" >> beam.ParDo(dedup.Suspects(opened.view(), "", ()))
    assert suspects.element_type == beam.typehints.Tuple[int, pa.RecordBatch]
    compare = dedup.Compare(opened.view(), (), drop=True)
    compared = suspects | beam.GroupByKey() | "compare" >> beam.ParDo(compare)
    assert compared.element_type == beam.typehints.Tuple[int, pa.RecordBatch]


def test_doers_hold_no_arrays(opened):
    """An artifact reaches a worker by path."""
    assert len(beam.internal.pickler.dumps(cluster.Assign(opened.view(), "i", "url"))) < 20_000


FOLDS = {
    "count": (folds.Count(("source", "label")), ("source", "label")),
    "sample": (folds.BottomK(40, ("label", "embedding"), seed=3), ("uid", "label", "embedding")),
    "means": (folds.ClassMeans(), ("label", "embedding")),
    "cells": (strata.Cells(drop=True), strata.COUNTED),
}


@pytest.mark.parametrize("name", FOLDS)
def test_a_fold_through_beam_is_the_fold_run_directly(opened, name):
    fold, reads = FOLDS[name]
    cut = opened.cut("supply")
    through = folding.fold(opened, "test-fold", fold, reads, cut)
    state = fold.zero()
    for shard in cut:
        for _, batch in opened.view().batches(shards.Span((shard,)), reads):
            state = fold.add(state, batch)
    direct = fold.result(state)
    if isinstance(direct, pa.Table):
        assert through.to_pydict() == direct.to_pydict()
    elif isinstance(direct, dict):
        assert through == direct
    else:
        assert len(through) == len(direct)
        for a, b in zip(through, direct, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("k", [1, 40, 10_000])
def test_a_sample_is_the_fold_that_carries_its_columns(opened, k):
    cut, reads = opened.cut("supply"), ("label", "embedding")
    found = sample.rows(opened, "test", k, reads, cut)
    fold, state = (
        folds.BottomK(k, reads, opened.seed, ("test",)),
        folds.Sample(pa.table({}), 2**64 - 1),
    )
    for shard in cut:
        for _, batch in opened.view().batches(shards.Span((shard,)), ("uid", *reads)):
            state = fold.add(state, batch)
    expected = fold.result(state)
    assert found.select(expected.column_names).to_pydict() == expected.to_pydict()
    assert len(found) == min(k, sum(opened.view().rows(s.name) for s in cut))
