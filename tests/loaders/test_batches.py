"""A stream in torch's DataLoader, with workers."""

import collections
import json

import pytest
import torch
from torch.utils import data

import tamis
from tests.loaders import listing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """42 samples of one source."""
    rows = {"table": 0, "lines": 28, "cells": 0, "packed": 0}
    return listing.make(tmp_path_factory.mktemp("batches"), rows)


def uids(batches):
    return [u for batch in batches for u in batch["uid"]]


def test_a_dataloader_takes_it_as_an_iterable_dataset(folder):
    stream = tamis.load(folder)
    assert isinstance(stream, data.IterableDataset)
    got = list(data.DataLoader(stream, batch_size=4))
    assert uids(got) == [s["uid"] for s in tamis.load(folder)]
    assert got[0]["weight"].dtype == torch.float64


@pytest.mark.parametrize("rank", range(2))
def test_workers_of_a_dataloader_made_by_hand_partition_what_is_the_rank_s(folder, rank):
    stream = tamis.load(folder, rank=rank, world_size=2)
    got = uids(data.DataLoader(stream, batch_size=4, num_workers=2))
    assert sorted(got) == sorted(s["uid"] for s in tamis.load(folder, rank=rank, world_size=2))


@pytest.mark.parametrize("workers", [0, 2])
def test_its_place_is_what_was_handed_over_and_not_what_was_read_ahead(folder, workers):
    batches = tamis.load(folder).dataloader(4, workers=workers)
    assert len(batches) == 11
    whole = list(batches)
    assert [len(b["uid"]) for b in whole] == [4] * 10 + [2]
    assert collections.Counter(uids(whole)) == listing.listed(folder)
    first = tamis.load(folder).dataloader(4, workers=workers)
    for step, _ in enumerate(first):
        if step == 4:
            break
    state = json.loads(json.dumps(first.state_dict()))
    resumed = tamis.load(folder).dataloader(4, workers=workers)
    resumed.load_state_dict(state)
    assert uids(resumed) == uids(whole[5:])
    # Without workers, or with others, the rest is shared anew: nothing lost, nothing repeated.
    other = tamis.load(folder)
    other.load_state_dict(state)
    rest = [s["uid"] for s in other]
    assert collections.Counter(uids(whole[:5]) + rest) == listing.listed(folder)
