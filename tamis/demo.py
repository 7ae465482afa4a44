"""The demo's data: short texts of four domains with mean human valence, fetched through pip.

Hutto and Gilbert (2014), VADER: movie-review sentences, Amazon review snippets, tweets and
newspaper editorial sentences. The package is MIT; the snippets are third parties' and are fetched,
never shipped.
"""

import hashlib
import importlib.resources
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tamis import errors, runfile, storage
from tamis.schemas import config

PACKAGE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
SEED = 0
NEUTRAL = 0.3  # a mean valence (-4..4) this near 0 is neither positive nor negative
HELD_OUT = 3_000  # movie sentences that are the target
SCARCE = 600  # movie sentences that may be trained on

RUN_FILE = "sentiment.yaml"  # beside this module

_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
DOMAINS = {
    "movie": "movieReviewSnippets",
    "amazon": "amazonReviewSnippets",
    "tweets": "tweets",
    "editorials": "nytEditorialSnippets",
}


def document(folder: Path) -> config.Run:
    """The demo's run file, on the texts that `fetch` writes to a folder."""
    text = importlib.resources.files("tamis").joinpath(RUN_FILE).read_text(encoding="utf-8")
    parsed = runfile.parse(text, RUN_FILE)
    named = {**parsed.sources, "target": parsed.target}
    moved = {
        name: source.model_copy(update={"path": str(folder / f"{name}.jsonl")})
        for name, source in named.items()
        if source is not None
    }
    return parsed.model_copy(update={"target": moved.pop("target"), "sources": moved})


def fetch(folder: Path) -> None:
    """Write one JSON-lines file per domain, and `target.jsonl`, unless they are there.

    Raises:
      RunnerError: pip cannot fetch the package, or its digest is not the pinned one.
    """
    names = [*DOMAINS, "target"]
    if all((folder / f"{name}.jsonl").exists() for name in names):
        return
    texts = _texts(_sdist())
    # The plain seed-0 permutation, so that anyone can draw the same split without tamis.
    movie = np.random.default_rng(SEED).permutation(len(texts["movie"]))
    parts = {**texts, "target": [texts["movie"][i] for i in sorted(movie[:HELD_OUT])]}
    scarce = movie[HELD_OUT : HELD_OUT + SCARCE]
    parts["movie"] = [texts["movie"][i] for i in sorted(scarce)]
    for name, rows in parts.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        storage.write_atomic(str(folder / f"{name}.jsonl"), lines.encode())


def _sdist() -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", scratch, PACKAGE]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        found = list(Path(scratch).glob("*.tar.gz"))
        if ran.returncode or not found:
            last = (ran.stderr.strip().splitlines() or ["no message"])[-1]
            raise errors.RunnerError(
                f"pip cannot fetch {PACKAGE}", why=last, remedy="is a package index within reach?"
            )
        data = found[0].read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise errors.RunnerError(
            f"{PACKAGE} is not the file this demo was made for",
            why="its SHA-256 differs from the pinned one",
            remedy="do not use it; report where it came from",
        )
    return data


def _texts(sdist: bytes) -> dict[str, list[dict[str, str]]]:
    with tarfile.open(fileobj=io.BytesIO(sdist)) as outer:
        inner = outer.extractfile(_INNER)
        if inner is None:
            raise errors.RunnerError(f"{PACKAGE} holds no {_INNER}")
        with tarfile.open(fileobj=io.BytesIO(inner.read())) as archive:
            return {name: list(_rows(archive, member)) for name, member in DOMAINS.items()}


def _rows(archive: tarfile.TarFile, member: str) -> Iterator[dict[str, str]]:
    r"""`id \t valence \t text` lines to rows, without the neutral ones."""
    stream = archive.extractfile(f"hutto_ICWSM_2014/{member}_GroundTruth.txt")
    lines = stream.read().decode("utf-8").split("\r\n") if stream else []
    for line in filter(None, lines):
        name, valence, text = line.split("\t", 2)
        if abs(float(valence)) > NEUTRAL:
            label = "positive" if float(valence) > 0 else "negative"
            yield {"id": name, "text": text, "label": label}
