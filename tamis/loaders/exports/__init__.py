"""Manifests in the forms that others read: `tamis export RUN --to KIND`.

A module a kind, each with `export(folder, out)`; its library is imported when it is asked for. A
row is written once, and how often it is to be seen goes with it, in the way of that form.
Megatron's `.bin` and `.idx` hold tokens, not texts, and are left for when a tokenizer is a part of
a run.
"""

import importlib
from typing import Any

from tamis import errors, storage

KINDS = {  # the module and the extra that installs its library
    "parquet": "",
    "hf": "",
    "webdataset": "webdataset",
    "mds": "mds",
    "datacomp": "",
    "dclm": "",
    "croissant": "",
}


def export(folder: str, kind: str, out: str) -> None:
    """Write a manifest in another form.

    Args:
      folder: Of the manifest.
      kind: One of `KINDS`.
      out: A folder that is not there yet; or a file, for `datacomp`, `dclm` and `croissant`.

    Raises:
      ConfigError: the kind is unknown, its library is missing, or there is something at `out`.
      ManifestError: a row of an input is not the one that the manifest lists.
    """
    if kind not in KINDS:
        raise errors.ConfigError(f"--to {kind}", remedy=f"one of {', '.join(KINDS)}")
    if storage.exists(out):
        raise errors.ConfigError("there is something already", where=out, remedy="name another")
    try:
        module: Any = importlib.import_module(f"tamis.loaders.exports.{kind}")
        module.export(folder, out)
    except ModuleNotFoundError as error:
        if not KINDS[kind]:
            raise
        raise errors.ConfigError(
            f"--to {kind} needs {error.name}", remedy=f"pip install 'tamis[{KINDS[kind]}]'"
        ) from error
