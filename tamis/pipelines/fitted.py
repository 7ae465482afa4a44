"""What the score stage knows of a scorer that needs artifacts."""

import dataclasses
from collections.abc import Callable
from typing import Any

from tamis import errors, finding, scorers, seeding, storage
from tamis.pipelines import guard, session


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A scorer that needs artifacts.

    Attributes:
      files: Field that wants a path, and the file's name.
      fit: Writes them, given the paths by field.
      part: What their digest depends on beside the rows and the target.
      shared: Name of the artifacts where several scorers read the same ones.
      needs: Stages whose outputs they are made of.
      given: They are made of files of the user's and of no row, so that a frozen run has nothing to
        say of them.
    """

    files: dict[str, str]
    fit: Callable[[session.Session, dict[str, str]], None]
    part: Callable[[session.Session], list[object]] | None = None
    shared: str = ""
    needs: tuple[str, ...] = ("ingest", "embed")
    given: bool = False


def scorer(run: session.Session, name: str) -> Any:  # noqa: ANN401
    """The scorer as configured, not to be set up: its class is what `name` says."""
    return scorers.build(name, run.config.score[name])


def part(
    name: str, *options: str, reads: str = "", target: bool = False
) -> Callable[[session.Session], list[object]]:
    """What the artifacts of a scorer depend on beside the rows.

    Args:
      name: The scorer.
      options: Those that shape its artifacts.
      reads: The one of them that names files of the user's, whose contents count.
      target: Whether it looks at the target, which may be guarded.
    """

    def made(run: session.Session) -> list[object]:
        given = run.config.score[name]
        shaped = {k: v for k, v in given.items() if k in options}
        files = [storage.read_bytes(url) for url in _files(name, reads, given.get(reads, ""))]
        looks = guard.part(run) if target else []
        return [run.seed, shaped, *(seeding.digest(f).hex() for f in files), *looks]

    return made


def _files(name: str, option: str, pattern: str) -> list[str]:
    """The user's files that an option names."""
    found = finding.glob(pattern) if pattern else []
    if option and not found:
        raise errors.ConfigError(
            f"score.{name}.{option}: no such file: {pattern}", remedy="give its path"
        )
    return found
