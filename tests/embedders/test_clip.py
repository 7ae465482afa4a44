"""CLIP through sentence-transformers, against transformers itself; a tiny one, never downloaded."""

import numpy as np
import pytest

from examples import pairs
from tamis import decoding
from tamis.embedders import sentence_transformers as ours
from tamis.schemas import intake


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return pairs.save(tmp_path_factory.mktemp("model"))


def test_texts_and_images_are_clip_s_own_features(model):
    import torch
    import transformers

    section = intake.Embed(backend="sentence-transformers", model=model, of="pair", batch=4)
    images, texts, _ = zip(*pairs.pictures(10), strict=True)
    embedder = ours.SentenceTransformers(section)
    plain = transformers.CLIPModel.from_pretrained(model).eval()
    processor = transformers.CLIPProcessor.from_pretrained(model)
    decoded = [decoding.picture(image) for image in images]
    with torch.no_grad():
        given = processor(text=list(texts), images=decoded, return_tensors="pt", padding=True)
        out = plain(**given)
    for found, theirs in (
        (embedder(images), out.image_embeds),
        (embedder(texts), out.text_embeds),
    ):
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        np.testing.assert_allclose(unit, theirs.numpy(), atol=1e-5)
    assert len(embedder(())) == 0
