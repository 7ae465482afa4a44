"""Images and pairs through the chain: the examples, cut small, and what scorers see."""

import gzip
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn import datasets

import tamis
from examples import fashion_mnist, pairs
from tamis import embedders, linalg, runfile
from tamis.embedders import pixels
from tamis.pipelines import chain, verify
from tamis.schemas import embeddings, intake
from tamis.scorers import image_rules, image_text
from tests import dirty

ROOT = pathlib.Path(__file__).parents[2]
SMALL = {"pilot": {"budget": 20_000}, "check": {"seeds": 2}, "cluster": {"k": 4}}


def example(name, folder, data, budgets, **changes):
    """The run file of an example, on data elsewhere and with smaller budgets."""
    text = (ROOT / "examples" / name).read_text().replace(data, str(folder / "data"))
    document = {**yaml.safe_load(text), "run": str(folder / "run"), **SMALL, **changes}
    document["plan"]["budgets"] = budgets
    return runfile.parse(yaml.safe_dump(document, sort_keys=False))


def column(folder, name, kind):
    table = [pq.read_table(p)[name] for p in sorted((folder / "run" / kind).glob("*.parquet"))]
    return [v for part in table for v in part.to_pylist()]


def idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The example of clothes on scikit-learn's digits, which are installed, as the same files.

    With one dirty image of each kind in the folder of the small source.
    """
    folder = tmp_path_factory.mktemp("digits")
    images, labels = datasets.load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8).repeat(4, 1).repeat(4, 2) * 15).astype(np.uint8)
    for kind, part in (("train", slice(0, 1200)), ("t10k", slice(1200, None))):
        idx(folder / f"{kind}-images-idx3-ubyte.gz", images[part])
        idx(folder / f"{kind}-labels-idx1-ubyte.gz", labels[part])
    fashion_mnist.main(folder, folder / "data", 300)
    for name, (data, _) in dirty.BAD.items():
        (folder / "data" / "curated" / "top" / name).write_bytes(data)
    document = example(
        "images.yaml", folder, "data/fashion", [100, 240], ingest={"max_rejected_fraction": 0.1}
    )
    chain.run(document)
    (folder / "run.yaml").write_text(yaml.safe_dump(document.model_dump(mode="json")))
    return folder


def test_the_example_runs_to_its_check_and_sets_dirty_images_aside(digits):
    ledger = json.loads((digits / "run" / "run.json").read_text())
    found = ledger["stages"]["ingest"]["sources"]["curated"]
    reasons = [reason for _, reason in dirty.BAD.values()]
    assert found["rejected"] == {reason: reasons.count(reason) for reason in set(reasons)}
    assert found["accepted"] == 60
    check = json.loads((digits / "run" / "check" / "check.json").read_text())
    assert [b["samples"] for b in check["budgets"]] == [100, 240]
    assert (
        check["budgets"][1]["chosen"]["error"] < 0.75
    )  # of ten classes, a guess is wrong 9 times of 10


def test_embeddings_are_of_the_images_in_order(digits):
    shop = pq.read_table(digits / "data/shop.parquet")["image"].to_pylist()
    expected = linalg.unit(pixels.Pixels()(shop)).astype(np.float16)
    found = pq.read_table(digits / "run/embeddings/part-00002-00000.parquet")["embedding"]
    assert np.array_equal(embeddings.matrix(found), expected.astype(np.float32))


def test_training_reads_the_images_and_verify_proves_them(digits):
    data = digits / "data"
    shop = dict(
        zip(
            *(pq.read_table(data / "shop.parquet")[c].to_pylist() for c in ("id", "image")),
            strict=True,
        )
    )
    seen = list(tamis.load(str(digits / "run/everything/samples-240")))
    assert len(seen) == 240
    kinds = {row["source"] for row in seen}
    assert kinds == {"curated", "web", "shop"}
    for row in seen:
        if row["source"] == "curated":
            assert row["image"] == (data / "curated" / row["id"]).read_bytes()
        elif row["source"] == "shop":
            assert row["image"] == shop[int(row["id"])]
    with chain.opened(runfile.parse((digits / "run.yaml").read_text())) as here:
        verify.verify(here, lambda _: None)


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    pairs.main(folder / "data")
    chain.run(example("pairs.yaml", folder, "data/pairs", [100, 240]))
    return folder


def test_scorers_see_the_images_and_both_embeddings(paired):
    agreed = column(paired, "score", "scores/image_text")
    halves = [
        embeddings.matrix(pq.read_table(p)[n])
        for n, f in embeddings.PAIR.items()
        for p in sorted((paired / "run" / f).glob("part-0000[01]*"))
    ]
    image, text = np.concatenate(halves[:2]), np.concatenate(halves[2:])
    np.testing.assert_allclose(agreed, image_text.cosine(image, text), atol=1e-6)
    ruled = column(paired, "score", "scores/image_rules")
    rules = image_rules.ImageRules(min_side=16)
    images = [image for image, _, _ in pairs.pictures(**pairs.CAPTIONED)]
    expected = rules.score(pa.record_batch({"image": pa.array(images, pa.large_binary())}))
    assert ruled[: len(images)] == expected.tolist()


def test_a_pair_is_both_side_by_side(paired):
    model = embedders.load(
        intake.Embed(backend="sentence-transformers", model=str(paired / "data/clip"), of="pair")
    )
    rows = list(pairs.pictures(**pairs.CAPTIONED))
    a = linalg.unit(model([image for image, _, _ in rows]))
    b = linalg.unit(model([text for _, text, _ in rows]))
    found = embeddings.matrix(
        pq.read_table(paired / "run/embeddings/part-00000-00000.parquet")["embedding"]
    )
    np.testing.assert_allclose(found @ found.T, (a @ a.T + b @ b.T) / 2, atol=3e-3)
