"""Pictures with synthetic captions, and a tiny CLIP with random weights to embed them: no download.

    python -m examples.pairs data/pairs

With a real CLIP, name its folder or hub id as `embed.model` in `examples/pairs.yaml`.
"""

import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np

KINDS = ("red", "green", "blue")
CAPTIONED = {"count": 300, "swapped": 0.2, "seed": 1}
LIGHT, TINT = 30, 30  # standard deviation of a colour, and what its kind adds, of 255


def save(folder, *, seed=0):
    """Write the model and return its path."""
    import sentence_transformers
    import torch
    import transformers
    from sentence_transformers.sentence_transformer import modules
    from transformers.models.clip import image_processing_pil_clip

    plain = folder / "plain"
    plain.mkdir(parents=True)
    letters = [chr(c) for c in range(97, 123)]
    names = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (plain / "vocab.json").write_text(json.dumps({n: i for i, n in enumerate(names)}))
    (plain / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(plain / "vocab.json"), str(plain / "merges.txt"))
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    size |= {"num_attention_heads": 2, "projection_dim": 12}
    text = {**size, "vocab_size": len(names), "max_position_embeddings": 24}
    text |= {"bos_token_id": len(names) - 2, "eos_token_id": len(names) - 1}
    config = transformers.CLIPConfig(
        text_config=text,
        vision_config={**size, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    torch.manual_seed(seed)
    transformers.CLIPModel(config).save_pretrained(plain)
    images = image_processing_pil_clip.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(plain)
    module = modules.Transformer(str(plain))
    sentence_transformers.SentenceTransformer(modules=[module], device="cpu").save(
        str(folder / "clip")
    )
    return str(folder / "clip")


def pictures(count, *, swapped=0.0, seed=0):
    """Encoded pictures of three kinds, captions and kinds; of a share, the caption is another's.

    Light of any colour falls on them, so that neither picture nor caption tells the kind for sure.
    """
    from PIL import Image

    rng = np.random.default_rng(seed)
    for kind in rng.integers(0, 3, count).tolist():
        shown = rng.normal(100, 20, (24, 24, 3)) + rng.normal(0, LIGHT, 3)
        shown[..., kind] += TINT
        sink = io.BytesIO()
        Image.fromarray(shown.clip(0, 255).astype(np.uint8)).save(sink, "PNG")
        told = (kind + 1) % 3 if rng.random() < swapped else kind
        yield sink.getvalue(), f"a {KINDS[told]} picture {rng.integers(1000)}", KINDS[kind]


def write(path, rows):
    """A WebDataset archive of them."""
    with tarfile.open(path, "w") as out:
        for i, (image, caption, kind) in enumerate(rows):
            members = {"png": image, "txt": caption.encode(), "cls": kind.encode()}
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{i:05d}.{extension}")
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))


def main(folder):
    """Two sources, a target and the model under `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "captioned.tar", pictures(**CAPTIONED))
    write(folder / "crawled.tar", pictures(1500, swapped=0.6, seed=2))
    write(folder / "target.tar", pictures(1000, swapped=0.2, seed=3))
    save(folder)


if __name__ == "__main__":
    main(sys.argv[1])
