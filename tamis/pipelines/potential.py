"""The artifacts of the transport potential: the target, and the potential of each of its rows."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors
from tamis.pipelines import pool, sample, session
from tamis.schemas import columns, embeddings
from tamis.scorers import transport_potential
from tamis.selectors import transport

NAME = "transport_potential"
# Rows of the supply that stand for it: their mean potential is known to a hundredth of its spread.
_ROWS = 4_096
_TOLERANCE = 1e-4


def fit(run: session.Session, paths: dict[str, str]) -> None:
    """Solve between a sample of the supply and the target, and centre g.

    Time O(4096 m d) for the cost and the passes of one entropic solve; memory 16 MiB per thousand
    target rows, in float32.
    """
    y, x = pool.vectors(run, f"score.{NAME}"), _supply(run)
    cost = transport.points(x, y, metric="cosine")
    a, b = (np.full(len(rows), 1 / len(rows)) for rows in (x, y))
    # At this tolerance as fast as Newton, whose last bits depend on the threads of BLAS.
    solved = transport.sinkhorn(a, b, cost, epsilon(run), tolerance=_TOLERANCE)
    artifacts.write(paths["target"], y)
    artifacts.write(paths["potential"], solved.g + solved.f.mean())


def part(run: session.Session) -> list[object]:
    """What the artifacts depend on beside the rows and the target."""
    return [epsilon(run)]


def epsilon(run: session.Session) -> float:
    """As configured, or the scorer's default."""
    given = run.config.score[NAME].get("epsilon", transport_potential.TransportPotential.epsilon)
    return float(given)


def _supply(run: session.Session) -> NDArray[np.float32]:
    drawn: pa.Table = sample.rows(run, NAME, _ROWS, (columns.EMBEDDING,), run.cut("supply"))
    if not drawn.num_rows:
        raise errors.SchemaError(
            "there is no supply to move onto the target",
            where=run.root,
            why="no row of any source was accepted",
            remedy="look in rejected/ for the reasons",
        )
    return embeddings.matrix(drawn.column(columns.EMBEDDING))
