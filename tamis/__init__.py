"""tamis: which examples to train on, how often, for this budget.

The folders, in flow order:

  schemas/    what every table and document looks like; the only place that spells a column
  sources/    reading other people's files, bad rows and all
  scorers/    how good is this row?
  selectors/  which rows, how often? The planner and its laws live here
  pilots/     measure error on little subsets
  pipelines/  move the data; the only importer of apache_beam
  loaders/    manifest to training
  report/     one HTML page

`tamis.load` opens a manifest for training.
"""

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is asked for
    """`load`, when it is asked for: `import tamis` loads neither numpy nor pyarrow."""
    if name == "load":
        return importlib.import_module("tamis.loaders.stream").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
