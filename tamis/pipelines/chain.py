"""The chain: every stage in flow order, each also runnable alone."""

import contextlib
from collections.abc import Callable, Iterator

from tamis import ledger, progress, storage
from tamis.pipelines import (
    check,
    cluster,
    dedup,
    embed,
    ingest,
    pick,
    pilot,
    plan,
    score,
    select,
    session,
    tier,
    verify,
)
from tamis.schemas import config, manifest

Stage = Callable[[session.Session], None]

STAGES: dict[str, Stage] = {
    "ingest": ingest.ingest,
    "embed": embed.embed,
    "cluster": cluster.cluster,
    "score": score.score,
    "dedup": dedup.dedup,
    "tier": tier.tier,
    "pilot": pilot.pilot,
    "plan": plan.plan,
    "select": select.select,
    "check": check.check,
}


def run(
    document: config.Run,
    *,
    stages: tuple[str, ...] = tuple(STAGES),
    args: tuple[str, ...] = (),
    redo: bool = False,
    adopt: bool = True,
    reporter: progress.Reporter | None = None,
) -> session.Session:
    """Run stages in order; what is committed is skipped, so running again resumes.

    Args:
      document: The run file (`tamis.runfile.load`).
      stages: Names, in flow order; all by default.
      args: Beam's own options.
      redo: Replace stages that were made from another configuration.
      adopt: Take sidecars over from a frozen run where they are what this one would make.
      reporter: Shows progress; silent by default.

    Returns:
      The session, whose ledger says what was done.

    Raises:
      TamisError: see `tamis.errors` for the kinds and their exit codes.
    """
    with opened(document, args=args, redo=redo, adopt=adopt, reporter=reporter) as here:
        proceed(here, stages)
        return here


def proceed(here: session.Session, stages: tuple[str, ...] = tuple(STAGES)) -> None:
    """Run stages in an open session; a whole chain ends with the balance law."""
    # What could only end in an error after hours ends now: a selector that reads what the run has
    # not, a library that is missing.
    pick.stages(here)
    dedup.ready(here)
    for name in stages:
        STAGES[name](here)
    if stages == tuple(STAGES):
        verify.balance(here)


def summary(here: session.Session) -> list[tuple[str, str]]:
    """Five lines for a person: chosen, predicted, gain, manifest, report."""
    made, checked = plan.read(here), check.read(here)
    pairs = list(zip(made.budgets, checked.budgets, strict=True))
    predicted = "; ".join(
        f"{b.predicted_error:.3f} [{b.interval[0]:.3f}, {b.interval[1]:.3f}] at {b.samples:,}"
        for b in made.budgets
    )
    gain = "; ".join(f"{c.gain:+.3f} at {b.samples:,}" for b, c in pairs)
    manifests = storage.join(
        here.root, manifest.FOLDER, "samples-{%s}" if len(pairs) > 1 else "samples-%s"
    )
    return [
        ("chosen", made.summary),
        ("predicted", f"error {predicted}"),
        ("gain", f"over random, measured: {gain}"),
        ("manifest", manifests % ",".join(str(b.samples) for b in made.budgets)),
        ("report", storage.join(here.root, "report.html")),
    ]


@contextlib.contextmanager
def opened(
    document: config.Run,
    *,
    args: tuple[str, ...] = (),
    redo: bool = False,
    adopt: bool = True,
    reporter: progress.Reporter | None = None,
) -> Iterator[session.Session]:
    """A session on the run folder, locked against a second one."""
    with ledger.lock(document.run):
        shown = reporter or progress.reporter("quiet")
        here = session.Session(document, args=args, redo=redo, adopt=adopt, reporter=shown)
        here.start()
        yield here


def reading(root: str) -> session.Session:
    """A session on what a run folder holds, by its own config: no lock, and nothing is written.

    Raises:
      ArtifactError: there is no run in the folder.
    """
    document = ledger.read(root)
    kept = config.Run.model_validate({**document["config"], "run": root})
    return session.Session(kept, ledger=document)
