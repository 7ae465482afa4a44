"""Canonical names of what a row of a source holds, whatever the source calls it."""

TEXT = "text"
LABEL = "label"
ID = "id"
EMBEDDING = "embedding"
IMAGE = "image"  # encoded bytes
IMAGE_EMBEDDING = "image_embedding"  # of a pair, whose EMBEDDING is of both
TEXT_EMBEDDING = "text_embedding"
ROW = "row"

# Derived columns a scorer may read beside them.
UID = "uid"
N_UNITS = "n_units"
CLUSTER = "cluster"
COSINE = "cosine"
SOURCE = "source"
PLACE = "place"  # number of the file and row in it, packed: no two rows of a run share it
