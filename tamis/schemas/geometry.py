"""The geometry document beside the centroids: what the rows are like, on a uniform sample."""

import pydantic

FILE = "geometry.json"


class Geometry(pydantic.BaseModel):
    """Facts of a sample of the supply.

    Attributes:
      rows: In the sample.
      dimension: Of the vectors.
      intrinsic_dimension: Near each row, by maximum likelihood; null with too few distinct rows.
      distinct: Effective number of distinct rows, at most `dimension`.
      cluster_imbalance: 1 for equal clusters, their number for all rows in one.
      classes: Rows of each label in the sample, most first; empty without labels.
      nearest_other_label: Least distance of two rows with different labels, whose inverse is the
        label sharpness; null with fewer than two labels.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    rows: int
    dimension: int
    intrinsic_dimension: float | None
    distinct: float
    cluster_imbalance: float
    classes: dict[str, int]
    nearest_other_label: float | None
