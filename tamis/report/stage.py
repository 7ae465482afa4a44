"""Report: the stage that writes `RUN/report.html`."""

from tamis import progress, storage
from tamis.pipelines import check, plan, select, session
from tamis.report import collect, page

VERSION = 2
NAME = "report"
FILE = "report.html"


def report(run: session.Session) -> None:
    """Write `report.html` from whatever has been run so far, at least the plan.

    Raises:
      ArtifactError: there is no plan yet.
      ManifestError: rows do not balance.
    """
    where = url(run)
    if not storage.exists(where):
        run.ledger["stages"].pop(NAME, None)  # somebody deleted it
    run.whole(NAME, inputs(run), (FILE,), lambda outcome: _write(run, where, outcome))


def inputs(run: session.Session) -> str:
    """The digest of the report: every stage there is, and what ran them."""
    run.inputs(plan.NAME)
    reads = sorted(name for name in run.ledger["stages"] if name != NAME)
    made = {key: run.ledger.get(key, "") for key in ("versions", "git")}
    return run.digest(NAME, VERSION, [run.config, made], reads)


def url(run: session.Session) -> str:
    """Where the report is."""
    return storage.join(run.root, FILE)


def _write(run: session.Session, where: str, outcome: progress.Outcome) -> dict:
    storage.write_atomic(where, page.build(collect.gather(run)).encode())
    missing = [n for n in (select.NAME, check.NAME) if n not in run.ledger["stages"]]
    outcome.note = f"without {', '.join(missing)}" if missing else where
    return {}
