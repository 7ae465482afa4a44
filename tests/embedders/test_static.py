import pathlib

import numpy as np
import pytest
import wordllama

from tamis.embedders import static


@pytest.fixture(scope="module")
def model():
    return static.Static()


@pytest.fixture(scope="module")
def texts(paragraphs):
    return [row["text"] for row in paragraphs["doc"][:200]] + ["x", "naïve café 北京", "a " * 3000]


def test_vectors_are_those_of_wordllama(model, texts):
    folder = pathlib.Path(wordllama.__file__).parent
    theirs = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    # Theirs cuts off at its longest input; ours reads all of a text.
    short = texts[:-1]
    np.testing.assert_allclose(model(short), theirs.embed(short), atol=1e-6)


def test_a_row_does_not_depend_on_its_batch(model, texts):
    whole = model(texts)
    alone = np.concatenate([model([text]) for text in texts])
    assert whole.tobytes() == alone.tobytes()
    backwards = model(texts[::-1])[::-1]
    assert np.ascontiguousarray(backwards).tobytes() == whole.tobytes()


def test_a_vector_is_the_mean_of_its_tokens(model):
    (one,) = model(["sieve"])
    (twice,) = model(["sieve sieve"])
    assert one.dtype == np.float32
    assert one.shape == twice.shape == (256,)
    assert np.linalg.norm(one) > 0


def test_no_texts_have_no_vectors(model):
    assert model([]).shape == (0, 256)
