"""The cluster sidecar, and the centroids beside it (`clusters/centroids.npy`, float32 (k, d))."""

import pyarrow as pa

CLUSTER = "cluster"
COSINE = "cosine"
FOLDER = "clusters"
CENTROIDS = "centroids.npy"
SCHEMA = pa.schema(
    [
        pa.field(CLUSTER, pa.int32(), nullable=False),  # 0..k-1, nearest by cosine
        pa.field(COSINE, pa.float32(), nullable=False),  # to that centroid, -1..1
    ]
)
