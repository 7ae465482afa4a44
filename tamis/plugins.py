"""Nouns by name: ours from a dict, then those of installed packages by entry point."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import Any, TypeVar

from tamis import errors

T = TypeVar("T")


def find(noun: str, ours: Mapping[str, T], name: str) -> T:
    """The thing of that name: ours, else a plug-in's from the entry point group `tamis.<noun>s`.

    Args:
      noun: What it is, in the singular, as errors say it: `scorer`.
      ours: By name.
      name: Wanted.

    Raises:
      ConfigError: there is none, naming the nearest; or the plug-in's package cannot be imported.
    """
    if name in ours:
        return ours[name]
    plugins = metadata.entry_points(group=f"tamis.{noun}s")
    if name in plugins.names:
        return _load(noun, plugins[name])
    known = sorted({*ours, *plugins.names})
    near = _nearest(name, known)
    raise errors.ConfigError(
        f"there is no {noun} {name!r}",
        why=f"known are {', '.join(known)}",
        remedy=f"did you mean {near}?" if near else "choose one, or install its package",
    )


def build(
    kind: Callable[..., T], options: Mapping[str, object], given: Mapping[str, object], where: str
) -> T:
    """Call `kind` with the options of a run file and with what the pipeline gives.

    Args:
      kind: A class, or anything else that makes one.
      options: By name, as the user wrote them; none of `given`, and not `name`.
      given: By name.
      where: The options' place in the run file, as errors say it: `score.lexical`.

    Raises:
      ConfigError: an option is unknown, naming the nearest valid one, or has a wrong value.
    """
    valid = [f for f in inspect.signature(kind).parameters if f not in (*given, "name")]
    for option in options:
        if option not in valid:
            near = _nearest(option, valid)
            raise errors.ConfigError(
                f"unknown option '{where}.{option}'",
                remedy=f"did you mean '{near}'?" if near else f"valid: {', '.join(valid)}",
            )
    try:
        return kind(**options, **given)
    except (TypeError, ValueError) as error:
        raise errors.ConfigError(f"{where}: {error}", remedy="see its docstring") from error


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return close[0] if close else ""


def _load(noun: str, point: metadata.EntryPoint) -> Any:  # noqa: ANN401 -- the plug-in's
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise errors.ConfigError(
            f"the {noun} {point.name!r} cannot be imported",
            where=point.value,
            why=str(error),
            remedy="mend or reinstall the package it comes from",
        ) from error
