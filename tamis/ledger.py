"""The ledger, `run.json`: what was run, from what, and how it went; and the folder's lock.

Every state of it is added to `ledger/` under a name with its checksum and never changed, so that
damage is seen and mended. The only place where clocks, hosts and versions are written; nothing is
decided by them.
"""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fasteners

from tamis import __version__, errors, seeding, storage

DOCUMENT = "run.json"
RECORDS = "ledger"
LOCK = ".lock"
_PACKAGES = ("apache-beam", "faiss-cpu", "numpy", "pyarrow", "scipy")


def read(root: str) -> dict:
    """The ledger of the run folder `root`.

    Raises:
      ArtifactError: it has none, or the file is damaged.
    """
    where = storage.join(root, DOCUMENT)
    if not storage.exists(where):
        raise errors.ArtifactError(
            "not a run folder",
            where=root,
            why=f"no {DOCUMENT}",
            remedy="give the `run:` of a run file",
        )
    try:
        document = json.loads(storage.read_bytes(where))
        if not isinstance(document["stages"], dict):
            raise TypeError("its stages are no mapping")
    except (ValueError, TypeError, KeyError) as error:
        raise errors.ArtifactError(
            "the ledger is damaged", where=where, why=str(error), remedy=_restore(root)
        ) from error
    return document


def start(root: str, config: dict) -> dict:
    """The ledger of `root`, new or as it stands, with this run's config and versions in it."""
    exists = storage.exists(storage.join(root, DOCUMENT))
    document = read(root) if exists else {"tamis": __version__, "stages": {}}
    document |= {"config": config, "versions": _versions(), "git": _git(), "host": _host()}
    write(root, document)
    return document


def write(root: str, document: dict) -> None:
    """Replace the ledger, whole or not at all, after a copy of it was added to its records."""
    data = (json.dumps(document, indent=1) + "\n").encode()
    named = storage.listing(storage.join(root, RECORDS), ".json")
    if named and _same(root, named[-1], data):
        return
    name = _record(len(named), named[-1] if named else "", data)
    storage.write_atomic(storage.join(root, RECORDS, name), data)
    storage.write_atomic(storage.join(root, DOCUMENT), data)


def _same(root: str, record: str, data: bytes) -> bool:
    """Whether the last record and the ledger are both of these bytes already."""
    where = storage.join(root, DOCUMENT)
    last = storage.read_bytes(storage.join(root, RECORDS, record))
    return last == data and storage.exists(where) and storage.read_bytes(where) == data


def verify(root: str) -> int:
    """How many records there are, all of them whole, in one chain, and the last one `run.json`.

    Raises:
      ArtifactError: one is missing or was changed, or `run.json` is not what was last written.
    """
    before, data = "", b""
    named = storage.listing(storage.join(root, RECORDS), ".json")
    for i, name in enumerate(named):
        where = storage.join(root, RECORDS, name)
        data = storage.read_bytes(where)
        if name != _record(i, before, data):
            raise errors.ArtifactError(
                "a record of the ledger is missing, or not what was written",
                where=where,
                why="its name holds the digest of its bytes and of the record before",
                remedy="restore the folder from a backup; the run's data may be whole",
            )
        before = name
    if named and storage.read_bytes(storage.join(root, DOCUMENT)) != data:
        raise errors.ArtifactError(
            "the ledger is not what was last written",
            where=storage.join(root, DOCUMENT),
            remedy=_restore(root),
        )
    return len(named)


def _record(number: int, before: str, data: bytes) -> str:
    """The name of a record: its number, and a checksum of it and of all records before it."""
    return f"{number:06}-{seeding.digest(before, data).hex()}.json"


def _restore(root: str) -> str:
    """How to get a damaged ledger back: its newest record that is whole."""
    named = storage.listing(storage.join(root, RECORDS), ".json")
    for i in reversed(range(len(named))):
        where = storage.join(root, RECORDS, named[i])
        if named[i] == _record(i, named[i - 1] if i else "", storage.read_bytes(where)):
            return f"copy {where} over it; what was committed since is made again"
    return "restore it from a backup"


def commit(root: str, document: dict, stage: str, entry: dict) -> None:
    """Say that every shard of `stage` is committed, and from what."""
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    document["stages"][stage] = {**entry, "finished": finished}
    write(root, document)


@contextlib.contextmanager
def lock(root: str) -> Iterator[None]:
    """Keep a second run out of the folder.

    On a local disk the operating system holds the lock, so it dies with its process, also by
    kill -9. On an object store it is an object that says who made it.

    Raises:
      RunnerError: somebody else holds it.
    """
    where = storage.join(root, LOCK)
    if storage.is_local(root):
        _make(root)
        held = fasteners.InterProcessLock(where)
        with storage.writing(where):
            if not held.acquire(blocking=False):
                held.lockfile.close()
                raise _locked(where, Path(where).read_text(encoding="utf-8"))
        try:
            with storage.writing(where):
                # Through the lock's own handle: closing another on the file would give it up.
                held.lockfile.truncate(0)
                held.lockfile.write(_owner())
                held.lockfile.flush()
            yield
        finally:
            held.release()
        return
    if not storage.write_new(where, _owner().encode()):
        raise _locked(where, storage.read_bytes(where).decode())
    try:
        yield
    finally:
        storage.remove_tree(where)


def _make(root: str) -> None:
    try:
        storage.makedirs(root)
    except OSError as error:
        raise errors.ConfigError(
            "the run folder cannot be made",
            where=root,
            why=error.strerror or str(error),
            remedy="name another folder in `run:`, one that you may write to",
        ) from error


def _owner() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


def _locked(where: str, owner: str) -> errors.RunnerError:
    return errors.RunnerError(
        "another run is at work in this folder",
        where=where,
        why=f"locked by {owner or 'a process that is starting'}",
        remedy="wait for it, stop it, or use another run folder"
        + ("" if storage.is_local(where) else "; if it died, delete the lock object"),
    )


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{p: _version(p) for p in _PACKAGES}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _git() -> str:
    """The commit of the working directory, or "" outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _host() -> dict[str, str | int]:
    return {"platform": platform.platform(), "cores": os.cpu_count() or 1}
