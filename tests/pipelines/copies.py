"""A corpus with copies, and which of its rows the dedup stage kept: by vectors or by texts."""

import numpy as np
import pyarrow.parquet as pq

from tests.conftest import write_jsonl


def corpus(folder, paragraphs, fraction, words):
    """Both sources with exact copies, one row in ten, and `fraction` of them changed.

    `words` tells of the changed row i how many of its words are another.
    """
    rng = np.random.default_rng(3)
    for name, kind, n in (("near", "doc", 60), ("far", "comment", 180)):
        rows = paragraphs[kind][:n]
        copies = [rows[i] for i in rng.integers(0, n, n // 10)]
        changed = []
        for i in rng.integers(0, n, int(fraction * n)):
            text = rows[i]["text"].split()
            for at in rng.integers(0, len(text), words(len(changed))):
                text[int(at)] = "altogether"
            changed.append({**rows[i], "id": f"{name}-c{len(changed)}", "text": " ".join(text)})
        write_jsonl(folder / f"{name}.jsonl", rows + copies + changed)
    return folder


def sources(folder):
    """Of a run file."""
    return {name: {"path": str(folder / f"{name}.jsonl")} for name in ("near", "far")}


def table(root):
    """Every supply row in input order: uid, score, and its duplicate sidecar."""
    rows = []
    for path in sorted((root / "duplicates").glob("part-*.parquet")):
        uid = pq.read_table(root / "index" / path.name)["uid"].to_pylist()
        score = pq.read_table(root / "scores" / "prototypes" / path.name)["score"].to_pylist()
        for i, row in enumerate(pq.read_table(path).to_pylist()):
            place = f"{path.stem}:{i}"
            rows.append({**row, "place": place, "uid": uid[i], "score": score[i]})
    return rows


def by_uid(root):
    """uid to the uid that is kept, and how many rows; exact copies are their first row."""
    rows = table(root)
    at = {r["place"]: r["uid"] for r in rows}
    return {
        r["uid"]: (at[r["dup_of"] or r["place"]], r["dup_count"])
        for r in rows
        if r["dup_of"] is None or at[r["dup_of"]] != r["uid"]
    }
