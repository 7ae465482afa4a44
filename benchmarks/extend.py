"""What one tenth of new rows costs, against a fresh run of all: `python -m benchmarks.extend`.

    python -m benchmarks.extend [--corpus demo,licences] [--data DIR] [--times 3] [--json FILE]

The old run has nine tenths of every source. `extend` adds the last tenth; `fresh` is the same run
file in another folder, taking over what was fitted and not one sidecar. Each is a process of its
own, stage by stage, in processor seconds, which other work on the machine changes less than it does
the clock. The manifests of both must be the same bytes.

- `demo`: the demo's 10,000 short texts and its run file.
- `licences`: 37,158 licence texts and rules (see `texts.py` for how `--data` is fetched); what they
  are classified by is whether they name a licence of the GPL family.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from concurrent import futures
from pathlib import Path

import numpy as np

from benchmarks import chain as made_up
from benchmarks import texts
from tamis import demo, runfile, seeding
from tamis.pipelines import chain, extend, select
from tamis.schemas import config

SHARE = 10  # one row in so many is new
PER_ROW = ("ingest", "embed", "cluster", "score")
LICENCES = """
version: 1
run: {folder}/old
seed: 17
sources:
  texts: {{path: {folder}/texts-old.jsonl, text: text, label: label}}
  rules: {{path: {folder}/rules-old.jsonl, text: text, label: label}}
target: {{path: {folder}/target.jsonl, text: text, label: label}}
ingest: {{shard_rows: 4096}}
score: {{prototypes: {{}}, lexical: {{}}, importance: {{}}, mahalanobis: {{}}}}
tier: {{by: {{prototypes: 1, lexical: 1}}, tiers: 3}}
pilot: {{budget: 200_000}}
plan: {{budgets: [2000, 20000], strata: [source]}}
"""


def main() -> None:
    """Print a table for every corpus."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="demo,licences")
    parser.add_argument("--data", type=Path, help="of the licences")
    parser.add_argument("--rows", type=int, help="of the licences; all by default")
    parser.add_argument("--times", type=int, default=1, help="every licence, each with a number")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    print(
        f"commit {made_up.commit()}, {multiprocessing.cpu_count()} cores, load {made_up.load():.1f}"
    )
    figures = {name: measure(name, args) for name in args.corpus.split(",")}
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(name: str, args: argparse.Namespace) -> dict:
    """Processor seconds by side and stage."""
    with tempfile.TemporaryDirectory(prefix="tamis-bench-") as scratch:
        folder = Path(scratch)
        split = split_demo if name == "demo" else split_licences
        old, new = split(folder, args)
        apart(old)
        document = extend.more(chain.reading(old.run), str(folder / "extended"), files=new)
        fresh = document.model_copy(update={"run": str(folder / "fresh")})
        found = {}
        for side, asked in (("extend", document), ("fresh", fresh)):
            found[side] = apart(asked, adopt=side == "extend")
        same(document.run, fresh.run)
        say(name, counted(document.run), found)
        return found


def apart(document: config.Run, *, adopt: bool = True) -> dict[str, float]:
    """`staged` in a process of its own."""
    fresh = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(staged, document, adopt=adopt).result()


def staged(document: config.Run, *, adopt: bool) -> dict[str, float]:
    """Run a chain; processor seconds of every stage, and all by the clock."""
    found, begun = {}, time.perf_counter()
    with chain.opened(document, adopt=adopt) as here:
        for name, stage in chain.STAGES.items():
            started = time.process_time()
            stage(here)
            found[name] = time.process_time() - started
    return {**found, "clock": time.perf_counter() - begun}


def split_demo(folder: Path, _: argparse.Namespace) -> tuple[config.Run, dict[str, list[str]]]:
    """The demo's sources without a tenth of their rows, and those."""
    demo.fetch(Path("data/vader"))
    document = demo.document(Path("data/vader"))
    sources, new = {}, {}
    for name, source in document.sources.items():
        lines = Path(str(source.path)).read_text(encoding="utf-8").splitlines(keepends=True)
        old, later = cut(folder, name, lines)
        sources[name], new[name] = source.model_copy(update={"path": old}), [later]
    return document.model_copy(update={"sources": sources, "run": str(folder / "old")}), new


def split_licences(
    folder: Path, args: argparse.Namespace
) -> tuple[config.Run, dict[str, list[str]]]:
    """Texts of at least 100 words, shorter rules, and a target of either."""
    found = texts.licences(args.data or Path())
    text = [f"{t} {i}" if i else t for i in range(args.times) for t in found.text]
    lines = [
        json.dumps({"text": t, "label": "gpl" if "gpl" in k.lower() else "other"}) + "\n"
        for t, k in zip(text, [*found.key] * args.times, strict=True)
    ]
    order = seeding.generator(17, "benchmark").permutation(len(lines))[: args.rows]
    (folder / "target.jsonl").write_text("".join(lines[i] for i in order[:2_000]))
    long = np.array([len(t.split()) >= 100 for t in text])
    rest = order[2_000:]
    mine = {"texts": rest[long[rest]], "rules": rest[~long[rest]]}
    new = {name: [cut(folder, name, [lines[i] for i in at])[1]] for name, at in mine.items()}
    return runfile.parse(LICENCES.format(folder=folder)), new


def cut(folder: Path, name: str, lines: list[str]) -> tuple[str, str]:
    """Nine tenths of a source in one file, the rest in another."""
    at = len(lines) - len(lines) // SHARE
    files = folder / f"{name}-old.jsonl", folder / f"{name}-new.jsonl"
    for file, part in zip(files, (lines[:at], lines[at:]), strict=True):
        file.write_text("".join(part), encoding="utf-8")
    return str(files[0]), str(files[1])


def counted(root: str) -> tuple[int, int]:
    """Rows of the supply, and those that are new."""
    entry = chain.reading(root).entry("ingest")
    rows = sum(e["rows"] for name, e in entry["sources"].items() if name != "target")
    return rows, sum(entry["lineage"]["added"].values())


def same(a: str, b: str) -> None:
    """Raise unless all manifests are the same bytes."""
    for kind in select.KINDS:
        there = [
            {p.relative_to(root): p.read_bytes() for p in (Path(root) / kind).rglob("*.*")}
            for root in (a, b)
        ]
        if there[0] != there[1]:
            raise SystemExit(f"{kind}: the extended run is not the fresh one")


def say(name: str, rows: tuple[int, int], found: dict[str, dict[str, float]]) -> None:
    """A table: every stage, those that go row by row, and all."""
    print(f"\n{name}: {rows[1]:,} of {rows[0]:,} rows are new; the manifests are the same bytes")
    print("| stage | extend, cpu s | fresh, cpu s | ratio |\n|---|---|---|---|")
    stages = [s for s in found["fresh"] if s != "clock"]
    groups = [(s, [s]) for s in stages]
    groups += [("**row by row**", list(PER_ROW)), ("**all**", stages), ("by the clock", ["clock"])]
    for label, members in groups:
        a, b = (sum(found[side][m] for m in members) for side in ("extend", "fresh"))
        print(f"| {label} | {a:.2f} | {b:.2f} | {a / b:.2f} |")


if __name__ == "__main__":
    main()
