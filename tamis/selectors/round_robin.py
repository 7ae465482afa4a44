"""RDS+ round robin: every query of the target takes its nearest rows in turn.

Ivison et al. (2025), Large-scale data selection for instruction tuning (arXiv 2503.01807), §3.
"""

import dataclasses

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tamis import artifacts, errors, linalg, nearest
from tamis.schemas import embeddings
from tamis.selectors import pools

_ROWS = 4_096


def nearest_rows(
    queries: NDArray[np.float64], x: NDArray[np.float64], task: NDArray[np.int64], budget: int
) -> NDArray[np.int64]:
    """For every task its nearest rows, nearest first: S[t, i] = max over its queries of <v, x_i>.

    Args:
      queries: Shape (m, d), unit rows.
      x: Shape (n, d), unit rows.
      task: Of each query, 0..t-1, shape (m,).
      budget: Rows to keep of each task.

    Returns:
      Shape (t, min(budget, n)). Ties go to the lowest row.

    Time O(m n d + t n log n), memory O(t budget + 4096 m) beside the inputs.
    """
    v, rows = linalg.fixed_point(queries), linalg.fixed_point(x)
    order = np.argsort(task, kind="stable")
    starts = np.flatnonzero(np.diff(task[order], prepend=-1))
    likeness = np.empty((len(starts), len(x)))
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        likeness[:, part] = np.maximum.reduceat(linalg.products(v[order], rows[part]), starts)
    return np.argsort(-likeness, axis=1, kind="stable")[:, :budget]


def take_turns(lists: NDArray[np.int64], budget: int, *, lose_turn: bool) -> NDArray[np.int64]:
    """Rows in the order in which the lists take them, one each in turn.

    Args:
      lists: Shape (t, m), rows of each, best first, m at least `budget`.
      budget: Distinct rows wanted.
      lose_turn: Whether a list whose next row is taken already waits for its next turn.
    """
    t, m = lists.shape
    if lose_turn:
        flat = lists.T.reshape(-1)  # the order of all turns
        first = np.sort(np.unique(flat, return_index=True)[1])
        return flat[first][:budget]
    taken = np.zeros(int(lists.max(initial=-1)) + 1, bool)
    at = np.zeros(t, np.int64)
    found: list[int] = []
    while len(found) < budget:
        for i in range(t):
            while at[i] < m and taken[lists[i, at[i]]]:
                at[i] += 1
            if at[i] < m and len(found) < budget:
                taken[lists[i, at[i]]] = True
                found.append(int(lists[i, at[i]]))
    return np.array(found, np.int64)


@dataclasses.dataclass(frozen=True)
class RoundRobin:
    """The rows nearest to the target, every query or task served alike. No randomness.

    Without tasks each query takes its nearest row not yet taken. With tasks, a row is as near as
    its nearest query of the task, and a task whose next row is taken already loses the turn: both
    as in the paper's code. Time O(m n d), memory O(t n).

    Attributes:
      target: `.npy` of the queries, shape (m, d).
      tasks: `.npy` of the task of each query, integers, shape (m,); empty for none.
      embedding: Column of vectors.
    """

    target: str
    tasks: str = ""
    embedding: str = embeddings.EMBEDDING

    reads = pools.Reads("embedding")

    def select(
        self, pool: pa.RecordBatch, budget: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        rows = pools.by_uid(pool)
        k = pools.wanted(budget, len(rows))
        if not k:
            return rows[:0]
        queries = nearest.unit(np.array(artifacts.read(self.target)))
        task = np.arange(len(queries))
        if self.tasks:
            task = _tasks(np.array(artifacts.read(self.tasks)), len(queries), self.tasks)
        x = pools.unit(pool, self.embedding, rows)
        lists = nearest_rows(queries, x, task, k)
        return rows[take_turns(lists, k, lose_turn=bool(self.tasks))]


def _tasks(task: NDArray, m: int, where: str) -> NDArray[np.int64]:
    if task.shape != (m,) or not np.issubdtype(task.dtype, np.integer):
        raise errors.ArtifactError(
            f"tasks have shape {task.shape} and type {task.dtype} for {m} queries",
            where=where,
            remedy="one integer for each query of the target, in the same order",
        )
    return np.unique(task, return_inverse=True)[1].astype(np.int64)
