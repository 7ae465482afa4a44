"""Easy or hard? `keep: auto` of a prototype score, decided before any pilot by theory.

Sorscher et al. (2022, section 2): with few examples per dimension keep the easy, with many the hard
(`selectors.pruning`). Examples per dimension, alpha, are rows over the dimensions that their
embeddings really use; what is kept of them is what the largest budget can see once. It is of two
Gaussian classes, one linear student and a score that is a good guess: where pilots measure tiers,
they overrule it, and where a budget sees every row it says nothing.
"""

import json
from typing import NamedTuple

from tamis import linalg, storage
from tamis.pipelines import sample, session
from tamis.schemas import embeddings
from tamis.selectors import costs, pruning

AUTO = "auto"
OPTION = "keep"

_ROWS = 4096  # of the sample that the dimension is measured on
_LEAST = 1e-6  # share kept


class Decision(NamedTuple):
    """What is kept, and why.

    Attributes:
      keep: `easy` or `hard`.
      reason: In words; empty where the run file decided.
    """

    keep: str
    reason: str


def decided(run: session.Session, options: dict) -> Decision | None:
    """The decision for a scorer with `keep: auto`; None for any other."""
    if options.get(OPTION) != AUTO:
        return None
    rows = sum(n["accepted"] for s, n in run.entry("ingest")["sources"].items() if s != "target")
    dimension = _dimension(run)
    seen = max(_samples(run, rows))
    alpha, kept = rows / dimension, min(1.0, max(seen / rows, _LEAST))
    advice = pruning.advise(alpha, kept)
    keep = "easy" if advice.strategy == "random" else advice.strategy
    return Decision(
        keep,
        f"{advice.reason} ({rows:,} rows, {dimension:.0f} effective dimensions, at most {seen:,} "
        "samples seen; theory of Sorscher et al. 2022, not a measurement)",
    )


def _samples(run: session.Session, rows: int) -> list[int]:
    plan = run.config.plan
    return [costs.about(b, plan.terms, rows, plan.max_epochs) for b in plan.budgets]


def _dimension(run: session.Session) -> float:
    """Of a sample of the supply, measured once for each set of embeddings."""
    made = run.digest("dimension", 1, [_ROWS, run.seed], ["embed"])
    where = storage.join(run.root, "artifacts", f"dimension-{made[:16]}.json")
    if not storage.exists(where):
        drawn = sample.rows(run, "dimension", _ROWS, (embeddings.EMBEDDING,), run.cut("supply"))
        x = embeddings.matrix(drawn.column(embeddings.EMBEDDING))
        storage.write_atomic(where, json.dumps(linalg.effective_dimension(x)).encode())
    return float(json.loads(storage.read_bytes(where)))
