"""What the score stage knows of a scorer that needs artifacts."""

import dataclasses
from collections.abc import Callable

from tamis.pipelines import session


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A scorer that needs artifacts.

    Attributes:
      files: Field that wants a path, and the file's name.
      fit: Writes them, given the paths by field.
      part: What their digest depends on beside the rows and the target.
      shared: Name of the artifacts where several scorers read the same ones.
      needs: Stages whose outputs they are made of.
    """

    files: dict[str, str]
    fit: Callable[[session.Session, dict[str, str]], None]
    part: Callable[[session.Session], list[object]] | None = None
    shared: str = ""
    needs: tuple[str, ...] = ("ingest", "embed")
