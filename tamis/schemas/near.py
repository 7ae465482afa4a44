"""The edges of a run's near pairs: a spanning forest, each end with what tells it apart."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FOLDER = "near"
CAPPED = "capped"  # key of the table's metadata: rows that had to leave out cells
COSINE = "cosine"

# A row: where it is (`where`), the halves of its uid, its score, and the rows that share its uid.
NODE = ["row", "hi", "lo", "score", "count"]
_TYPES = [pa.int64(), pa.uint64(), pa.uint64(), pa.float32(), pa.int32()]
EDGES = pa.schema(
    [
        *(
            pa.field(f"{end}_{n}", t, nullable=False)
            for end in "ab"
            for n, t in zip(NODE, _TYPES, strict=True)
        ),
        pa.field(COSINE, pa.float32(), nullable=False),
    ]
)


def where(ordinal: int | NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
    """A place in the run as one number: the ordinal of the shard, and the row of its index."""
    return (np.asarray(ordinal, np.int64) << 32) + np.asarray(row, np.int64)


def parts(place: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The inverse of `where`."""
    return place >> 32, place & 0xFFFFFFFF


class Graph(NamedTuple):
    """Edges between numbered nodes.

    Attributes:
      nodes: Columns `NODE`, one row per node, in the order of their uids.
      a: Shape (e,) int64, a node.
      b: Shape (e,) int64.
      cosine: Shape (e,) float32.
    """

    nodes: pa.Table
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    cosine: NDArray[np.float32]


def graph(edges: pa.Table) -> Graph:
    """Number the rows that edges join. Time O(e log e), memory O(e)."""
    ends = [edges.select([f"{end}_{n}" for n in NODE]).rename_columns(NODE) for end in "ab"]
    both = pa.concat_tables(ends)
    hi, lo = both["hi"].to_numpy(), both["lo"].to_numpy()
    order = np.lexsort((lo, hi))
    new = np.ones(len(order), bool)
    new[1:] = (hi[order[1:]] != hi[order[:-1]]) | (lo[order[1:]] != lo[order[:-1]])
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(new) - 1
    nodes = both.take(pa.array(order[new])).combine_chunks()
    a, b = number[: edges.num_rows], number[edges.num_rows :]
    return Graph(nodes, a, b, edges[COSINE].to_numpy())
