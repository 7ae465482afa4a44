"""Verify: does the run folder hold what its ledger says, and does every row have its place?"""

import json
from collections.abc import Callable

import numpy as np

from tamis import errors, finding, ledger, seeding, sidecars, storage
from tamis.loaders import manifest as loading
from tamis.loaders import reading
from tamis.loaders.exports import croissant
from tamis.pipelines import check, ingest, plan, retract, select, session
from tamis.schemas import balance as schema
from tamis.schemas import duplicates, index, manifest, rejected


def balance(run: session.Session) -> list[schema.Balance]:
    """The balance of every budget, recounted from the files.

    Raises:
      ManifestError: rows do not balance.
    """
    bad, rows, accepted = _rejected(run), 0, 0
    gone = retract.rows(run)
    if gone:
        bad[rejected.REMOVED], rows = bad.get(rejected.REMOVED, 0) + gone, gone
    for shard in run.cut("supply"):
        rows += shard.rows
        accepted += run.view().rows(shard.name)
    copies = _copies(run) if budgets(run) else 0
    return [_balance(run, samples, rows, accepted, copies, bad) for samples in budgets(run)]


def verify(run: session.Session, say: Callable[[str], None]) -> list[schema.Balance]:
    """Open every committed file and check it: stamps, page checksums, digests, the balance.

    Args:
      run: The session.
      say: Called with one line per thing that was found in order.

    Raises:
      ArtifactError: a sidecar is missing, stale, damaged or misaligned.
      ManifestError: a manifest is damaged, or rows do not balance.
    """
    if records := ledger.verify(run.root):
        say(f"ledger: {records} records are whole, and run.json is the last of them")
    for module in (plan, check):
        if module.NAME in run.ledger["stages"]:
            module.read(run)  # says which key of the document is wrong
    for stage, entry in run.ledger["stages"].items():
        _stage(run, stage, entry, say)
    if select.NAME in run.ledger["stages"]:
        for samples in budgets(run):
            _manifests(run, samples)
        say(f"select: manifests of {len(budgets(run))} budgets match their digests")
    gone = proof(run)
    if gone:
        say(f"removed: {gone}")
    return balance(run)


def proof(run: session.Session) -> str:
    """That what was removed is in no index and no manifest; empty where nothing was.

    Raises:
      ManifestError: something is there still.
    """
    return retract.proof(run, _folders(run))


def inputs(run: session.Session, say: Callable[[str], None]) -> None:
    """Hash the inputs of all manifests; every byte of each is read once.

    Raises:
      ManifestError: a file is not the one that the manifests were made from.
    """
    found: dict[str, str] = {}
    for where in _folders(run):
        for file in loading.document(where)["files"]:
            path = file["path"]
            if path not in found:
                found[path] = finding.sha256(path) if storage.exists(path) else ""
            if found[path] != file["sha256"]:
                what = "the input has changed since the manifest was made"
                raise errors.ManifestError(
                    what if found[path] else "no such file",
                    where=path,
                    why=f"its SHA-256 is {found[path] or 'none'}, {file['sha256']} in {where}",
                    remedy="restore the file as it was, or run again",
                )
    say(f"inputs: {len(found)} files have the SHA-256 that the manifests name")


def described(run: session.Session, say: Callable[[str], None]) -> None:
    """Compare every manifest's Croissant with what its manifest.json says.

    Raises:
      ManifestError: one is damaged or missing.

    After the other checks: it says the same again, so whatever else is wrong shows here too.
    """
    folders = _folders(run)
    for where in folders:
        url = storage.join(where, croissant.DOCUMENT)
        if not storage.exists(url) or storage.read_bytes(url) != croissant.encoded(where):
            raise _hurt("the manifest's Croissant", url, "it is not what manifest.json says")
    say(f"croissant: {len(folders)} say what their manifest.json says")


def rows(run: session.Session, say: Callable[[str], None]) -> None:
    """Read every listed row of the choice: its uid and its content are the manifest's.

    Raises:
      ManifestError: a row is another, told by file and row.

    Costs reading, parsing and hashing the inputs once for each budget.
    """
    for samples in budgets(run):
        where = select.folder(run.root, manifest.FOLDER, samples)
        count = sum(table.num_rows for table in reading.distinct(where))
        say(f"rows: {count:,} rows of {where} are what it lists")


def _folders(run: session.Session) -> list[str]:
    return [select.folder(run.root, k, n) for n in budgets(run) for k in select.KINDS]


def _stage(run: session.Session, stage: str, entry: dict, say: Callable[[str], None]) -> None:
    """Read the sidecars of a stage, and compare its other files with their digests."""
    if "shards" in entry:
        folders = [f for f in entry["folders"] if f != rejected.FOLDER]
        files = sum(_sidecars(run, folder, entry["shards"]) for folder in folders)
        say(f"{stage}: {files} sidecars are whole, fresh and aligned")
    if "files" in entry:
        _as_written(run, stage, entry["files"])
        say(f"{stage}: {len(entry['files'])} files are as they were written")


def _as_written(run: session.Session, stage: str, files: dict[str, str]) -> None:
    """Raise for a file of a stage that is missing or not what the stage wrote."""
    for place, digest in files.items():
        where = storage.join(run.root, place)
        there = storage.exists(where)
        if not there or seeding.digest(storage.read_bytes(where)).hex() != digest:
            raise errors.ArtifactError(
                "the file is not what its stage wrote" if there else "the file is missing",
                where=where,
                remedy=f"delete it and run `tamis {stage.partition(':')[0]}` again",
            )


def _sidecars(run: session.Session, folder: str, count: int) -> int:
    """Read every sidecar of a folder to its end; `count`, of all shards or of the supply's."""
    cut = run.cut()
    for shard in cut if count == len(cut) else run.cut("supply"):
        run.view().table(shard.name, folder)
    return count


def budgets(run: session.Session) -> list[int]:
    """The budgets that have manifests."""
    if select.NAME not in run.ledger["stages"]:
        return []
    return [c["samples"] for c in run.entry(select.NAME)["counts"]]


def _manifests(run: session.Session, samples: int) -> None:
    for kind in select.KINDS:
        where = select.folder(run.root, kind, samples)
        for part in loading.document(where)["parts"]:
            url = storage.join(where, part["file"])
            there = storage.exists(url)
            if not there or seeding.digest(storage.read_bytes(url)).hex() != part["digest"]:
                why = "its bytes are not those that manifest.json names"
                raise _hurt("manifest part", url, why)


def _hurt(what: str, url: str, why: str) -> errors.ManifestError:
    """Of a file of a manifest: the folder of all manifests of its kind is made again."""
    return errors.ManifestError(
        f"{what} is {'damaged' if storage.exists(url) else 'missing'}",
        where=url,
        why=why,
        remedy=f"delete {storage.folder(storage.folder(url))} and run select again",
    )


def _rejected(run: session.Session) -> dict[str, int]:
    """Rejected rows of the supply, by reason, counted in the files themselves."""
    found: dict[str, int] = {}
    for shard in run.cut("supply"):
        claimed = json.loads(sidecars.footer(run.root, index.FOLDER, shard.name)[ingest.REJECTED])
        listed: dict[str, int] = {}
        where = sidecars.url(run.root, index.FOLDER, shard.name)
        if claimed:
            try:
                table = sidecars.read(run.root, rejected.FOLDER, shard.name, ["reason"])
            except errors.ArtifactError as error:  # it is written with its shard's index
                remedy = f"delete {where} and run the same command again: the shard is read again"
                raise errors.ArtifactError(
                    error.what, where=error.where, why=error.why, remedy=remedy
                ) from error
            listed = {v["values"]: v["counts"] for v in table["reason"].value_counts().to_pylist()}
        if listed != claimed:
            raise errors.ManifestError(
                f"{listed} rejected rows listed, {claimed} counted",
                where=sidecars.url(run.root, rejected.FOLDER, shard.name),
                remedy=f"delete {where} and run ingest",
            )
        for reason, n in listed.items():
            found[reason] = found.get(reason, 0) + n
    return found


def _copies(run: session.Session) -> int:
    if run.config.ingest.duplicates == "keep":
        return 0
    column = [duplicates.DUP_OF]
    tables = (
        run.view().table(s.name, duplicates.FOLDER, column)[duplicates.DUP_OF]
        for s in run.cut("supply")
    )
    return sum(len(t) - t.null_count for t in tables)


def _balance(
    run: session.Session, samples: int, rows: int, accepted: int, copies: int, bad: dict[str, int]
) -> schema.Balance:
    where = select.folder(run.root, manifest.FOLDER, samples)
    selected, seen = 0, 0
    for name in storage.listing(where, ".parquet"):
        times = sidecars.read(where, "", name.removesuffix(".parquet"), ["repeats"])["repeats"]
        selected += len(times)
        seen += int(np.sum(times.to_numpy()))
    if seen != samples:
        raise errors.ManifestError(
            f"{seen:,} samples, planned {samples:,}", where=where, remedy="run select again"
        )
    found = schema.Balance(samples, rows, selected, accepted - selected - copies, copies, bad)
    found.check(where)
    return found
