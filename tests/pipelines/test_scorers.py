"""Every fitted scorer in a run: its column is the pure function of the whole pool, however cut."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tamis import errors, folds
from tamis.pipelines import chain, guard
from tamis.schemas import embeddings, uids
from tamis.scorers import (
    combine,
    concepts,
    contamination,
    importance,
    kernel_density,
    mahalanobis,
    nearest_neighbours,
    ngram_model,
    perplexity,
    quality_classifier,
    race,
)

STAGES = ("ingest", "embed", "cluster", "score")
CONCEPTS = ["value", "return", "thread", "the socket", "coroutine object"]


def values(path, name):
    """A column of a JSON-lines file."""
    return [json.loads(line)[name] for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def files(tmp_path_factory, corpus):
    """A list of concepts, and an evaluation set that leaks into the supply."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "concepts.txt").write_text("\n".join([*CONCEPTS, "", ""]))
    leaked = values(corpus / "far.jsonl", "text")[5:9]
    lines = [json.dumps({"question": f"Is it so that {text}?"}) for text in leaked]
    (folder / "tests.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def scored(configured, files, tmp_path_factory):
    """The run, with shards of 100 rows and with one shard a file."""

    def run(rows, **changes):
        root = tmp_path_factory.mktemp("scored") / "run"
        options = {
            "blend": {
                "weights": {"prototypes": 1.0, "quality_classifier": 0.5},
                "transforms": {"quality_classifier": "logit"},
            },
            "prototypes": {},
            "cluster_size": {"keep": "hard"},
            "concept_balance": {"concepts": str(files / "concepts.txt"), "t": 9},
            "concept_frequency": {"concepts": str(files / "concepts.txt")},
            "contamination": {"against": str(files / "tests.jsonl"), "column": "question", "n": 5},
            "near_contamination": {
                "against": str(files / "tests.jsonl"),
                "column": "question",
            },
            "importance": {"buckets": 500},
            "kernel_density": {"features": 64, "sample": 100},
            "mahalanobis": {},
            "race": {"repeats": 20, "bits": 4},
            "nearest_neighbours": {"sample": 50},
            "ngram_model": {"order": 2, "keep": "hard"},
            "quality_classifier": {"reference": "near"},
        }
        document = configured(
            root, ingest={"shard_rows": rows}, score=options, tier={"by": "prototypes"}, **changes
        )
        chain.run(document, stages=STAGES)
        return root

    return run


@pytest.fixture(scope="module")
def run(scored):
    return scored(100)


def supply(root, folder, name):
    parts = sorted((root / folder).glob("part-*.parquet"))
    kept = {p.name for p in (root / "scores/prototypes").glob("part-*.parquet")}
    return pa.chunked_array(
        [c for p in parts if p.name in kept for c in pq.read_table(p)[name].chunks]
    ).combine_chunks()


def score(root, name):
    return supply(root, f"scores/{name}", "score").to_numpy()


def texts(corpus, *names):
    return pa.array([t for name in names for t in values(corpus / f"{name}.jsonl", "text")])


def test_scores_do_not_depend_on_how_the_pool_is_cut(run, scored):
    other = scored(1000, runner={"workers": 1})
    names = sorted(p.name for p in (run / "scores").iterdir())
    assert len(names) == 14
    for name in names:
        assert score(other, name).tobytes() == score(run, name).tobytes(), name


def sampled(x, names, k, scorer, role="supply"):
    """The rows that a scorer's hash sample holds."""
    fold = folds.BottomK(k, ("embedding",), 17, (f"{scorer}-{role}",))
    rows = pa.record_batch({"uid": names, "embedding": embeddings.column(x)})
    drawn = fold.result(fold.add(fold.zero(), rows))
    return embeddings.matrix(drawn["embedding"]), uids.from_hex(drawn["uid"])


@pytest.fixture(scope="module")
def vectors(run):
    return embeddings.matrix(supply(run, "embeddings", "embedding")), supply(run, "index", "uid")


def test_densities_are_those_of_the_whole_pool(run, vectors):
    x, names = vectors
    near, mine = nearest_neighbours, uids.from_hex(names)
    reference = near.Reference(*sampled(x, names, 50, "nearest_neighbours"))
    expected = near.kth_cosine(x, mine, reference, near.default_k(50))
    np.testing.assert_array_equal(score(run, "nearest_neighbours"), expected)
    h = kernel_density.bandwidth(*sampled(x, names, 100, "kernel_density"))
    w = kernel_density.frequencies(64, x.shape[1], h=h, seed=17)
    sketch = kernel_density.phases(x, w).mean(axis=0)
    expected = kernel_density.density(x, w, sketch)
    np.testing.assert_allclose(score(run, "kernel_density"), expected, atol=1e-6)
    planes = race.planes(20, 4, x.shape[1], seed=17)
    cell = race.cells(x, planes)
    counts = np.stack([np.bincount(column, minlength=16) for column in cell.T])
    np.testing.assert_array_equal(score(run, "race"), race.density(x, planes, counts))
    s = mahalanobis.shrunk(np.cov(x.T, bias=True), len(x))
    expected = mahalanobis.distance(x, x.mean(axis=0), mahalanobis.whitening(s))
    np.testing.assert_allclose(score(run, "mahalanobis"), -expected, rtol=1e-3)
    cluster = supply(run, "clusters", "cluster").to_numpy()
    expected = -np.log10(np.bincount(cluster)[cluster])
    np.testing.assert_allclose(score(run, "cluster_size"), expected, atol=1e-6)


def test_the_classifier_is_fitted_to_the_named_source(run, vectors):
    x, names = vectors
    rows = uids.from_hex(names)
    near, _ = sampled(x[:120], names.slice(0, 120), 16_384, "quality_classifier")
    pool, _ = sampled(x, names, 16_384, "quality_classifier")
    made = quality_classifier.fit(near, pool)
    expected = quality_classifier.probability(x, made.weights, made.intercept)
    np.testing.assert_array_equal(score(run, "quality_classifier"), expected)
    assert len(rows) == 600
    assert score(run, "quality_classifier")[:120].mean() > expected[120:].mean() + 0.2


def test_importance_favours_the_target_s_words(run, corpus):
    pool, target = texts(corpus, "near", "far"), texts(corpus, "target")
    counts = []
    for text in (target, pool):
        fold = importance.BucketCounts(500, 2)
        counts.append(fold.add(fold.zero(), pa.record_batch({"text": text})))
    ratio = importance.log_ratio(*counts, 1.0)
    expected = importance.log_weight(pool, ratio, longest=2)
    np.testing.assert_array_equal(score(run, "importance"), expected)
    assert score(run, "importance")[:120].mean() > score(run, "importance")[120:].mean()


def test_perplexity_is_that_of_the_target_s_model(run, corpus):
    model = ngram_model.Model(ngram_model.count(texts(corpus, "target"), 2), 2)
    expected = perplexity.log_perplexity(model(texts(corpus, "near", "far")))
    np.testing.assert_array_equal(score(run, "ngram_model"), expected)


def test_a_blend_is_made_of_the_run_s_own_scores(run):
    parts = [score(run, "prototypes"), score(run, "quality_classifier")]
    expected = combine.weighted_sum(parts, [1.0, 0.5], ["identity", "logit"])
    np.testing.assert_array_equal(score(run, "blend"), expected)


def test_leaks_are_found_and_nothing_else(run, corpus, files):
    text = texts(corpus, "near", "far")
    tests = pa.array(values(files / "tests.jsonl", "question"))
    found = contamination.evidence(text, contamination.evaluation(tests, 5))
    np.testing.assert_array_equal(score(run, "contamination"), -found.overlap)
    long = [i for i in range(125, 129) if len(text[i].as_py().split()) >= 8]
    assert len(long) >= 2
    assert np.all(score(run, "contamination")[long] < -0.2)
    assert np.median(found.overlap) == 0
    likeness = -score(run, "near_contamination")
    assert set(np.argsort(-likeness)[:4]) == set(range(125, 129))


def test_concepts_are_balanced_over_the_pool(run, corpus):
    text, known = texts(corpus, "near", "far"), concepts.entries(pa.array(CONCEPTS))
    row, entry = concepts.named(text, known)
    counts = np.bincount(entry, minlength=5)
    expected = concepts.keep_probability(row, entry, counts, 9, 600)
    np.testing.assert_array_equal(score(run, "concept_balance"), expected)
    assert 0 < np.count_nonzero(expected) < 600
    expected = -concepts.rarest(row, entry, counts, 600)
    np.testing.assert_array_equal(score(run, "concept_frequency"), expected)
    assert len(list((run / "artifacts").glob("concepts-*"))) == 1  # counted once for both


def test_another_list_of_concepts_is_another_stage(run, configured, files):
    """The contents of the file count, not its name."""
    path = files / "other.txt"
    path.write_text("value")
    document = configured(
        run,
        score={"prototypes": {}, "concept_balance": {"concepts": str(path), "t": 9}},
        tier={"by": "prototypes"},
    )
    with pytest.raises(errors.ArtifactError, match="'score:concept_balance' is stale"):
        chain.run(document, stages=("score",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"contamination": {"against": "no/such.jsonl"}}, "no such file: no/such.jsonl"),
        ({"concept_balance": {"concepts": "no/list.txt"}}, "no such file: no/list.txt"),
        ({"image_rules": {}}, "reads the column 'image', which no stage writes"),
        ({"blend": {"weights": {"lexical": 1}}}, "score.blend reads the score 'lexical'"),
        ({"quality_classifier": {"reference": "nea"}}, "names no source 'nea'"),
    ],
)
def test_what_an_option_names_must_be_there(run, configured, options, message):
    document = configured(run, score={"prototypes": {}, **options}, tier={"by": "prototypes"})
    with pytest.raises(errors.ConfigError, match=message):
        chain.run(document, stages=("score",), redo=True)


def test_without_a_target_relevance_is_an_error(configured, finished, tmp_path):
    document = configured(
        tmp_path / "run",
        target=None,
        score={"prototypes": {}, "importance": {}},
        tier={"by": "prototypes"},
        plan={"measurements": str(finished / "pilots" / "measurements.parquet")},
    )
    with pytest.raises(errors.ConfigError, match=r"score\.importance needs a target"):
        chain.run(document, stages=STAGES)


def test_a_guarded_target_shows_its_fit_half_alone(configured, corpus, tmp_path):
    """DSIR's counts are of the texts that may be fitted to, not of all."""
    document = configured(
        tmp_path / "run",
        check={"guard": True},
        score={"prototypes": {}, "importance": {"buckets": 50, "longest": 1}},
        tier={"by": "prototypes"},
    )
    chain.run(document, stages=STAGES)
    (path,) = (tmp_path / "run" / "artifacts").glob("importance-*/ratio.npy")
    seed = json.loads((tmp_path / "run" / "run.json").read_text())["guard"]["seed"]
    half = guard.Half(seed, held=False)
    fold = importance.BucketCounts(50, 1)
    shown = half.of(uids.of("target", pa.array(values(corpus / "target.jsonl", "id"))))
    seen = texts(corpus, "target").filter(pa.array(shown)), texts(corpus, "near", "far")
    counts = [fold.add(fold.zero(), pa.record_batch({"text": text})) for text in seen]
    assert 100 < shown.sum() < 200
    np.testing.assert_array_equal(np.load(path), importance.log_ratio(*counts, 1.0))


def test_concepts_by_lemma_are_counted_by_lemma(run, corpus, configured, files):
    path = files / "plural.txt"
    path.write_text("values\nreturned\n")
    options = {"concepts": str(path), "lemmas": "en"}
    document = configured(
        run, score={"prototypes": {}, "concept_frequency": options}, tier={"by": "prototypes"}
    )
    chain.run(document, stages=("score",), redo=True)
    text, known = texts(corpus, "near", "far"), concepts.entries(pa.array(["value", "return"]))
    plain, _ = concepts.named(text, known)
    row, entry = concepts.named(text, concepts.entries(pa.array(["value", "return"]), "en"), "en")
    assert len(row) > len(plain) > 0
    expected = -concepts.rarest(row, entry, np.bincount(entry, minlength=2), 600)
    np.testing.assert_array_equal(score(run, "concept_frequency"), expected)
