"""Read a run file. Every error names file:line:column, the bad value and the nearest valid key."""

import contextlib
import difflib
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pydantic
import yaml

from tamis import errors, storage
from tamis.schemas import config, intake, parts

MAX_VALUES = 10_000  # of a run file, aliases unfolded


def load(path: str) -> config.Run:
    """The validated run file at `path`.

    Raises:
      ConfigError: naming file:line:column.
    """
    return parse(_text(path), path)


def _text(path: str) -> str:
    file = Path(path)
    if not file.is_file():
        near = difflib.get_close_matches(file.name, [p.name for p in _yamls(file.parent)], 1)
        hint = (
            f"did you mean {file.parent / near[0]}?" if near else "`tamis init FOLDER` writes one"
        )
        raise errors.ConfigError("no such run file", where=path, remedy=hint)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise errors.ConfigError(
            "not UTF-8", where=path, why=str(error), remedy="save it as UTF-8"
        ) from error


def parse(text: str, name: str = "<string>") -> config.Run:
    """The run file in `text`; `name` stands in error messages."""
    node, document = _mapping(text, name)
    try:
        checked = config.Run.model_validate(document)
    except pydantic.ValidationError as error:
        raise _explain(error, node, name) from None
    _check_nouns(checked, node, name)
    own = checked.plan.measurements
    if own and not storage.exists(own):
        raise errors.ConfigError(
            f"plan.measurements: no such file: {own}",
            where=_where(_mark(node, ("plan", "measurements")), name),
            remedy="give a .csv or .parquet of your own training runs, or leave it out",
        )
    return checked


def _mapping(text: str, name: str) -> tuple[yaml.Node, dict]:
    """A YAML document of keys, and where in the text they stand."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        _unfolded(node, name, {})
        _unique(node, name)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise errors.ConfigError(
            f"not YAML: {error.problem}", where=where, remedy="check indentation and colons"
        ) from error
    except yaml.YAMLError as error:
        raise errors.ConfigError(f"not YAML: {error}", where=name) from error
    except RecursionError as error:
        raise errors.ConfigError("nested too deeply", where=name) from error
    if node is None or not isinstance(document, dict):
        raise errors.ConfigError(
            "a run file is a mapping of keys", where=f"{name}:1:1", remedy="start with `version: 1`"
        )
    return node, document


def validated(document: dict, what: str) -> config.Run:
    """A config made of parts; what is wrong with it is told as a `ConfigError`."""
    try:
        return config.Run.model_validate(document)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if isinstance(first["input"], dict):  # keys that do not go together: no value is at fault
            said, why = f"{what}: {at + ': ' if at else ''}{message}", ""
        else:
            said, why = f"{what}: '{at}' may not be {first['input']!r}", message
        raise errors.ConfigError(said, why=why, remedy="mend it, or give the run file") from None


def sources(path: str) -> dict[str, intake.Source]:
    """The sources of a YAML file that has nothing else: what a run is extended by.

    Raises:
      ConfigError: naming file:line:column.
    """
    node, document = _mapping(_text(path), path)
    try:
        return _Sources.model_validate(document).sources
    except pydantic.ValidationError as error:
        raise _explain(error, node, path) from None


class _Sources(parts.Part):
    sources: dict[parts.Name, intake.Source] = pydantic.Field(min_length=1)


def _check_nouns(document: config.Run, node: yaml.Node, name: str) -> None:
    """Find a scorer, selector or option that is not there before anything has been run."""
    from tamis import scorers  # numpy, pyarrow and faiss: not for a typo in a section above
    from tamis.selectors import registry

    for scorer, options in document.score.items():
        with _placed(node, name, ("score", scorer), options):
            scorers.build(scorer, options)
    chosen = document.select
    if chosen.selector:
        with _placed(node, name, ("select", "options"), chosen.options, ("select", "selector")):
            registry.build(chosen.selector, chosen.options)


@contextlib.contextmanager
def _placed(
    node: yaml.Node,
    name: str,
    loc: tuple[str, ...],
    options: dict,
    otherwise: tuple[str, ...] = (),
) -> Iterator[None]:
    """Say where in the file an error is: at the option of `loc` that it names, or at the noun."""
    try:
        yield
    except errors.ConfigError as error:
        option = next((o for o in options if f".{o}'" in error.what), None)
        at = (*loc, option) if option else otherwise or loc
        raise errors.ConfigError(
            error.what, where=_where(_mark(node, at), name), why=error.why, remedy=error.remedy
        ) from error


def json_schema() -> dict:
    """JSON Schema of the run file, for editors."""
    schema = config.Run.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "tamis run file"
    return schema


def _yamls(folder: Path) -> list[Path]:
    return sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]) if folder.is_dir() else []


def _unfolded(node: yaml.Node | None, name: str, known: dict[int, int]) -> int:
    """Values under a node, aliases unfolded; refused where a few lines stand for very many.

    Args:
      node: Where to begin.
      name: Of the file.
      known: The count of every node seen, by identity; 0 while it is being counted.
    """
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if not known.get(id(node), 1):
        raise errors.ConfigError("an alias holds itself", where=_where(node.start_mark, name))
    if id(node) not in known:
        known[id(node)] = 0
        below = [n for pair in node.value for n in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_unfolded(n, name, known) for n in below)
    if known[id(node)] > MAX_VALUES:
        raise errors.ConfigError(
            f"more than {MAX_VALUES:,} values",
            where=_where(node.start_mark, name),
            why="its aliases unfold to so many, or it is no run file",
        )
    return known[id(node)]


def _unique(node: yaml.Node | None, name: str) -> None:
    """Refuse a key given twice, of which YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise errors.ConfigError(
                    "a key is a word", where=_where(key.start_mark, name), remedy="quote it"
                )
            if key.value in seen:
                raise errors.ConfigError(
                    f"key '{key.value}' is given twice",
                    where=_where(key.start_mark, name),
                    remedy="keep one of them",
                )
            seen.add(key.value)
            _unique(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _unique(item, name)


def _explain(error: pydantic.ValidationError, node: yaml.Node, name: str) -> errors.ConfigError:
    lines = [_line(item, node, name) for item in error.errors()]
    first = lines[0]
    if len(lines) > 1:
        more = "\n".join(f"{where}: {what}\n  -> {remedy}" for where, what, remedy in lines[1:])
        return errors.ConfigError(first[1], where=first[0], remedy=f"{first[2]}\n{more}")
    return errors.ConfigError(first[1], where=first[0], remedy=first[2])


def _line(item: typing.Any, node: yaml.Node, name: str) -> tuple[str, str, str]:  # noqa: ANN401
    loc = tuple(part for part in item["loc"] if not _is_tag(part))
    where = _where(_mark(node, loc), name)
    dotted = ".".join(str(part) for part in loc)
    if item["type"] == "extra_forbidden":
        valid = _fields(config.Run, loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), valid, 1, 0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"valid keys: {', '.join(valid)}"
        return where, f"unknown key '{dotted}'", hint
    if item["type"] == "missing":
        return where, f"key '{dotted}' is missing", "add it; `tamis init` shows a full file"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error":
        return where, message, f"in '{dotted}'" if dotted else "see `tamis explain`"
    near = difflib.get_close_matches(str(item["input"]), _choices(item), 1, 0.5)
    hint = f"did you mean '{near[0]}'?" if near else message
    return where, f"'{dotted}' may not be {item['input']!r}: {message}", hint


def _is_tag(part: object) -> bool:
    """Whether pydantic put in the name of a union's member, which is no key of the file."""
    return isinstance(part, str) and (
        part in {"int", "str", "float", "[key]"}
        or part.startswith(("list[", "dict[", "constrained"))
    )


def _choices(item: typing.Any) -> list[str]:  # noqa: ANN401
    expected = item.get("ctx", {}).get("expected", "")
    return [word.strip("' ") for word in str(expected).replace(" or ", ",").split(",")]


def _where(mark: yaml.Mark, name: str) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _mark(node: yaml.Node, loc: tuple) -> yaml.Mark:
    """Where the deepest part of `loc` that the file has begins."""
    mark = node.start_mark
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if k.value == str(part)]
            if not found:
                return mark
            mark, node = found[0][0].start_mark, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            mark = node.start_mark
    return mark


def _fields(model: type[pydantic.BaseModel], loc: tuple) -> list[str]:
    """Keys that are valid at `loc`."""
    kind: typing.Any = model
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:
            kind = typing.get_args(kind)[-1]  # of dict[Name, Source], the value
        if isinstance(kind, types.UnionType):
            kind = typing.get_args(kind)[0]  # of Source | None, the section
    return list(kind.model_fields)
