"""The tier sidecar: a quantile band of a score, 0 = best."""

import pyarrow as pa

TIER = "tier"
FOLDER = "tiers"
SCHEMA = pa.schema([pa.field(TIER, pa.int8(), nullable=False)])
