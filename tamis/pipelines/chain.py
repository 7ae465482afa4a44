"""The chain: every stage in flow order, each also runnable alone."""

import contextlib
from collections.abc import Callable, Iterator

from tamis import ledger, progress
from tamis.pipelines import (
    check,
    cluster,
    dedup,
    embed,
    ingest,
    pilot,
    plan,
    score,
    select,
    session,
    tier,
    verify,
)
from tamis.schemas import config

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
    reporter: progress.Reporter | None = None,
) -> session.Session:
    """Run stages in order; what is committed is skipped, so running again resumes.

    Args:
      document: The run file (`tamis.runfile.load`).
      stages: Names, in flow order; all by default.
      args: Beam's own options.
      redo: Replace stages that were made from another configuration.
      reporter: Shows progress; silent by default.

    Returns:
      The session, whose ledger says what was done.

    Raises:
      TamisError: see `tamis.errors` for the kinds and their exit codes.
    """
    with opened(document, args=args, redo=redo, reporter=reporter) as here:
        for name in stages:
            STAGES[name](here)
        if stages == tuple(STAGES):
            verify.balance(here)
        return here


@contextlib.contextmanager
def opened(
    document: config.Run,
    *,
    args: tuple[str, ...] = (),
    redo: bool = False,
    reporter: progress.Reporter | None = None,
) -> Iterator[session.Session]:
    """A session on the run folder, locked against a second one."""
    with ledger.lock(document.run):
        shown = reporter or progress.reporter("quiet")
        here = session.Session(document, args=args, redo=redo, reporter=shown)
        here.start()
        yield here
