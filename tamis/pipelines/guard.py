"""Guard: the target's two halves, and Thresholdout between them.

With `check.guard`, target rows are split by a hash of their uid. Whatever adapts to the target
(pilots, the scorers that read it) sees the `fit` half; errors on the held-out half leave this
module only as answers of `selectors.thresholdout`. What is left of its budget stands in the
ledger, is written before an answer is used, and is never given back.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pydantic
from numpy.typing import NDArray

from tamis import errors, ledger, seeding, storage
from tamis.pipelines import session
from tamis.schemas import columns, index, uids
from tamis.schemas import guard as schema
from tamis.selectors import thresholdout

# What is made by looking at the target, and so cannot be there before the guard's entry is.
_SCORERS = (
    "importance",
    "influence",
    "ngram_model",
    "quality_classifier",
    "target_similarity",
    "transport_potential",
)
_STAGES = (*(f"score:{name}" for name in _SCORERS), "pilot", "check")
_FOLDERS = (*(f"scores/{name}" for name in _SCORERS), "pilots", "check")


@dataclasses.dataclass(frozen=True)
class Half:
    """One half of the target.

    Attributes:
      seed: Of the split.
      held: The held-out half, or the other.
    """

    seed: int
    held: bool

    def of(self, names: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Which rows are in it, by their uids: shape (n,)."""
        key = seeding.priority(uids.from_hex(names), self.seed, "guard")
        return (key >> np.uint64(63) == 1) == self.held


def part(run: session.Session) -> list[object]:
    """What a stage that looks at the target adds to its digest: nothing without a guard.

    Raises:
      PlanError: as `opened`, or the run file no longer guards a target that was guarded.
    """
    if not run.config.check.guard:
        _refuse_unguarded(run)
        return []
    entry = opened(run)
    return [["guard", entry.seed, entry.target]]


def halves(run: session.Session) -> tuple[Half | None, ...]:
    """The half to fit on and the half to hold out, or (None,) for the whole target."""
    if not run.config.check.guard:
        return (None,)
    seed = opened(run).seed
    return Half(seed, held=False), Half(seed, held=True)


def opened(run: session.Session) -> schema.Guard:
    """The entry, made when the target is first looked at.

    Raises:
      PlanError: it is missing where it should be, damaged, or of another target or other terms.
    """
    names = _names(run)
    digest = seeding.digest(*sorted(set(names.to_pylist()))).hex()
    if schema.KEY not in run.ledger:
        _refuse_late(run)
        made = _new(run, names, digest)
        _write(run, made)
        return made
    found = _read(run)
    if found.target != digest:
        raise errors.PlanError(
            "the target has changed under its guard", where=run.root, remedy=thresholdout.FRESH
        )
    asked = run.config.check
    for name in ("threshold", "sigma"):
        wanted = getattr(asked, name)
        if wanted is not None and wanted != getattr(found, name):
            raise _moved(run, name, getattr(found, name), wanted)
    for name in ("noise", "budget"):
        if getattr(asked, name) != getattr(found, name):
            raise _moved(run, name, getattr(found, name), getattr(asked, name))
    return found


def require(run: session.Session) -> None:
    """Refuse early, before anything is removed or trained.

    Raises:
      PlanError: the budget is spent.
    """
    entry = opened(run)
    if entry.left < 1:
        raise thresholdout.exhausted(entry.queries, entry.budget, run.root)


def ask(run: session.Session, pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Answers to errors on (the fit half, the held-out half), as fractions in [0, 1].

    The ledger has the new state before this returns, also when it refuses; so a kill at any later
    moment has paid for answers it did not use. A refusal gives none of the answers.

    Raises:
      PlanError: the budget is spent.
    """
    entry = opened(run)
    terms, state, answers = _terms(entry), _state(entry), []
    try:
        for fit, held in pairs:
            rng = seeding.generator(entry.seed, "guard", "answer", state.queries)
            answer, state = terms.answer(state, fit, held, rng)
            answers.append(min(max(answer, 0.0), 1.0))
    except errors.PlanError as error:
        raise errors.PlanError(
            error.what, where=run.root, why=error.why, remedy=error.remedy
        ) from error
    finally:
        after = {
            "left": state.left,
            "noisy_threshold": state.threshold,
            "queries": state.queries,
        }
        _write(run, entry.model_copy(update=after))
    return answers


def _new(run: session.Session, names: pa.ChunkedArray, digest: str) -> schema.Guard:
    asked = run.config.check
    held = int(Half(run.seed, held=True).of(names).sum())
    if held in (0, len(names)):
        raise errors.PlanError(
            f"a target of {len(names)} rows has no half to hold out",
            where=run.root,
            remedy="give more target rows, or leave check.guard out",
        )
    usual = thresholdout.practical(held, asked.budget)
    threshold = usual.threshold if asked.threshold is None else asked.threshold
    sigma = usual.sigma if asked.sigma is None else asked.sigma
    terms = thresholdout.Thresholdout(threshold, sigma, asked.budget, asked.noise)
    state = terms.start(seeding.generator(run.seed, "guard", "start"))
    return schema.Guard(
        seed=run.seed,
        target=digest,
        threshold=threshold,
        sigma=sigma,
        noise=asked.noise,
        budget=asked.budget,
        left=state.left,
        noisy_threshold=state.threshold,
        queries=0,
    )


def _read(run: session.Session) -> schema.Guard:
    try:
        return schema.Guard.model_validate(run.ledger[schema.KEY])
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(p) for p in first["loc"])
        raise errors.PlanError(
            "the ledger's entry of the guard is damaged",
            where=storage.join(run.root, ledger.DOCUMENT),
            why=f"{at}: {first['msg']}; how often the target was asked cannot be told",
            remedy=f"restore the ledger from a backup, or {thresholdout.FRESH}",
        ) from error


def _write(run: session.Session, entry: schema.Guard) -> None:
    run.ledger[schema.KEY] = entry.model_dump(mode="json")
    run.save()


def _terms(entry: schema.Guard) -> thresholdout.Thresholdout:
    return thresholdout.Thresholdout(entry.threshold, entry.sigma, entry.budget, entry.noise)


def _state(entry: schema.Guard) -> thresholdout.State:
    return thresholdout.State(entry.left, entry.noisy_threshold, entry.queries)


def _names(run: session.Session) -> pa.ChunkedArray:
    """The target's uids."""
    tables = [run.view().table(s.name, index.FOLDER, [columns.UID]) for s in run.cut("target")]
    return pa.chunked_array([c for t in tables for c in t[columns.UID].chunks], pa.string())


def _refuse_late(run: session.Session) -> None:
    made = [name for name in _STAGES if name in run.ledger["stages"]]
    made += ["select"] if run.ledger["stages"].get("select", {}).get("target") else []
    made += [f for f in _FOLDERS if storage.listing(storage.join(run.root, f))]
    if made:
        raise errors.PlanError(
            "the ledger has no entry of the guard",
            where=storage.join(run.root, ledger.DOCUMENT),
            why=f"{made[0]} has already looked at the target: unguarded, or the entry was lost",
            remedy=f"restore the ledger from a backup, or {thresholdout.FRESH}",
        )


def _refuse_unguarded(run: session.Session) -> None:
    if schema.KEY in run.ledger:
        raise errors.PlanError(
            "this run's target is guarded, and the run file no longer says so",
            where=run.root,
            why="asking it plainly would tell what the guard withholds",
            remedy="set check.guard: true, or use another run folder",
        )


def _moved(run: session.Session, name: str, found: object, wanted: object) -> errors.PlanError:
    return errors.PlanError(
        f"check.{name} is {wanted}, but the guard was set up with {found}",
        where=run.root,
        why="terms that move with the answers guard nothing",
        remedy=f"set check.{name}: {found}, or {thresholdout.FRESH}",
    )
