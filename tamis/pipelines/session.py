"""A run in progress: its folder, config, ledger, and the rule by which a stage runs or is skipped.

A stage is committed by a line in the ledger after every one of its shards is. What it was made
from is one digest: its config section, its code version, and the digests of the stages it reads.
"""

import dataclasses
import functools
import json
import time
from collections.abc import Callable, Iterable

import apache_beam as beam

from tamis import errors, finding, ledger, progress, removed, seeding, sources, storage
from tamis.pipelines import engine, freeze, frozen, kept, view
from tamis.pipelines import pending as waiting
from tamis.schemas import config, guard, shards


@dataclasses.dataclass
class Session:
    """One run folder being worked on.

    Attributes:
      config: The run file.
      args: Beam's own options.
      redo: Replace a stage that was made from other inputs, instead of refusing to.
      adopt: Take sidecars over from a frozen run, instead of making them again.
      reporter: Shows progress.
      ledger: The document of `run.json`.
      reused: Shards kept from an earlier run, by stage.
    """

    config: config.Run
    args: tuple[str, ...] = ()
    redo: bool = False
    adopt: bool = True
    reporter: progress.Reporter = dataclasses.field(
        default_factory=lambda: progress.reporter("quiet")
    )
    ledger: dict = dataclasses.field(default_factory=dict)
    reused: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def root(self) -> str:
        return self.config.run

    @property
    def seed(self) -> int:
        return self.config.seed

    def start(self) -> None:
        """Make or open the run folder.

        Raises:
          ConfigError: workers are elsewhere and could not see the folder.
        """
        if self.config.runner.kind == "dataflow" and "://" not in self.root:
            raise errors.ConfigError(
                "Dataflow's workers do not see this machine's disk",
                where=self.root,
                remedy="give a URL, like run: gs://BUCKET/runs/NAME, and inputs likewise",
            )
        if self.config.frozen:
            freeze.take(self.root, self.config)
        self.ledger = ledger.start(self.root, self.config.model_dump(mode="json"))
        if self.earlier and guard.KEY in self.earlier.ledger and guard.KEY not in self.ledger:
            # Answers that a target has given are given: a folder that continues has no new budget.
            self.ledger[guard.KEY] = self.earlier.ledger[guard.KEY]
            self.save()

    @functools.cached_property
    def earlier(self) -> frozen.Frozen | None:
        """The run that this one takes over, if it does."""
        return freeze.read(self.root, self.config)

    def taken(self, stage: str) -> dict[str, str]:
        """Places in the run folder of what a stage takes over instead of fitting it, by name."""
        return self.earlier.fitted(stage) if self.earlier else {}

    @property
    def removed(self) -> str:
        """Where the run keeps its list of removed uids; empty where it has none."""
        return removed.place(self.root) if self.config.removed.uids else ""

    def scratch(self, name: str = "") -> str:
        """A folder for files that nobody needs after the stage; without a name, of all of them."""
        return storage.join(self.root, "scratch", *filter(None, [name]))

    def digest(self, stage: str, version: int, part: object, reads: Iterable[str] = ()) -> str:
        """What `stage` is made from, as hex.

        Args:
          stage: Its name.
          version: Of its code; raised when the same inputs would give other outputs.
          part: The part of the config that matters to it.
          reads: Stages whose outputs it reads.
        """
        made = [f"{name}={self.inputs(name)}" for name in reads]
        text = json.dumps(part, sort_keys=True, default=_plain)
        taken = self.earlier.digests(stage) if self.earlier else []
        return seeding.digest(stage, version, text, *made, *taken).hex()

    def recipe(
        self,
        stage: str,
        version: int,
        part: object,
        reads: Iterable[str] = (),
        fitted: Iterable[str] = (),
    ) -> str:
        """What a row's outcome is made from beside the row: where two runs agree, so do their rows.

        Args:
          stage: As of `digest`, and the next three too.
          version: Of its code.
          part: The part of the config that matters to a row.
          reads: Stages whose outputs it reads.
          fitted: Places of fitted files that it reads.
        """
        made = [self.entry(name).get("recipe", "") for name in reads]
        text = json.dumps(part, sort_keys=True, default=_plain)
        files = digests(self.root, tuple(fitted)).values()
        return seeding.digest("recipe", stage, version, text, *made, *files).hex()

    def inputs(self, stage: str) -> str:
        """The digest a committed stage was made from."""
        entry = self.ledger["stages"].get(stage)
        if entry is None:
            raise errors.ArtifactError(
                f"stage '{stage}' has not been run",
                where=self.root,
                remedy=f"`tamis {stage} FILE` runs it alone, `tamis run FILE` everything",
            )
        return entry["inputs"]

    def entry(self, stage: str) -> dict:
        """What the ledger says of a committed stage."""
        self.inputs(stage)
        return self.ledger["stages"][stage]

    def done(self, stage: str, inputs: str) -> bool:
        """Whether `stage` is committed, and from these inputs."""
        return self.ledger["stages"].get(stage, {}).get("inputs") == inputs

    def committed(self, stage: str, inputs: str, folders: tuple[str, ...], *, cheap: bool) -> bool:
        """Whether `stage` is done; clears what it made from other inputs.

        A stage that is `cheap` is always replaced when its inputs have changed. One that writes
        sidecars is only replaced when the user says so: embeddings may have cost days.

        Raises:
          ArtifactError: the stage was made from other inputs, and `redo` is off.
        """
        entry = self.ledger["stages"].get(stage)
        if entry is None:
            return False
        if entry["inputs"] == inputs:
            return True
        if not (cheap or self.redo):
            raise errors.ArtifactError(
                f"stage '{stage}' is stale",
                where=self.root,
                why="this folder holds its outputs for another configuration or other inputs",
                remedy="run with --redo to replace it and what follows, or use another run folder",
            )
        for folder in folders:
            storage.remove_tree(storage.join(self.root, folder))
        del self.ledger["stages"][stage]
        self.save()
        return False

    def commit(self, stage: str, inputs: str, folders: tuple[str, ...], facts: dict) -> None:
        """Say in the ledger that the stage is done."""
        entry = {"inputs": inputs, "folders": list(folders), **facts}
        ledger.commit(self.root, self.ledger, stage, entry)

    def save(self) -> None:
        """Write the ledger as it stands."""
        ledger.write(self.root, self.ledger)

    def view(self) -> view.View:
        """What readers may read now."""
        made = {
            folder: entry for entry in self.ledger["stages"].values() for folder in entry["folders"]
        }
        dimension = self.ledger["stages"].get("ingest", {}).get("dimension", 0)
        longest = self.config.ingest.max_text_bytes
        inputs = tuple(sorted((folder, entry["inputs"]) for folder, entry in made.items()))
        adopted = {folder: e["adopted"] for folder, e in made.items() if e.get("adopted")}
        return view.View(self.root, inputs, longest, dimension, adopted)

    def execute(self, build: Callable[[beam.Pipeline], object]) -> None:
        """Run one pipeline on the configured runner."""
        engine.run(self.config.runner, self.args, build)

    def save_shards(self, cut: list[shards.Shard]) -> None:
        """Remember how the inputs were cut."""
        text = json.dumps([shards.document(s) for s in cut], indent=1)
        storage.write_atomic(storage.join(self.root, freeze.SHARDS), text.encode())

    def has_shards(self) -> bool:
        """Whether it is known how the inputs were cut."""
        return storage.exists(storage.join(self.root, freeze.SHARDS))

    def cut(self, role: shards.Role | None = None) -> list[shards.Shard]:
        """The shards of the run, in order; of one role only if asked."""
        where = storage.join(self.root, freeze.SHARDS)
        if not storage.exists(where):
            self.inputs("ingest")
        return [s for s in shards.read(where) if role in (None, s.file.role)]

    def whole(
        self,
        stage: str,
        inputs: str,
        folders: tuple[str, ...],
        work: Callable[[progress.Outcome], dict],
        *,
        rows: int = 0,
        digested: bool = True,
    ) -> None:
        """Run a cheap stage: all of it, when its inputs have changed.

        Args:
          stage: Its name.
          inputs: Its digest.
          folders: What it writes.
          work: Does it, and returns facts for the ledger.
          rows: What the progress line counts to.
          digested: Whether the ledger keeps the digests of its files, for `verify`.
        """
        there = [storage.exists(storage.join(self.root, folder)) for folder in folders]
        if self.committed(stage, inputs, folders, cheap=True) and all(there):
            with self.reporter.stage(stage, rows, lambda: rows) as outcome:
                outcome.note = "reused"
            return
        for folder in folders:  # a killed attempt at another plan may have left files there
            storage.remove_tree(storage.join(self.root, folder))
        started = time.monotonic()
        with self.reporter.stage(stage, rows, lambda: 0) as outcome:
            facts = work(outcome)
        seconds = round(time.monotonic() - started, 3)
        files = {"files": digests(self.root, folders)} if digested else {}
        self.commit(stage, inputs, folders, {"seconds": seconds, **files, **facts})

    def per_shard(
        self,
        stage: str,
        inputs: str,
        folders: tuple[str, ...],
        build: Callable[[beam.PCollection], object],
        cut: list[shards.Shard],
        summary: Callable[[progress.Outcome], dict] | None = None,
        *,
        together: bool = False,
        recipe: Callable[[], str] | None = None,
    ) -> None:
        """Run a stage that writes one sidecar per shard into `folders`, skipping committed ones.

        Args:
          stage: Its name.
          inputs: Its digest.
          folders: What it writes. The last one's sidecar commits a shard.
          build: Applies the stage to a PCollection of `Span`s.
          cut: The shards it should write.
          summary: Facts for the ledger, gathered when every shard is committed.
          together: Rows of all shards meet, so that one missing shard means all are made again.
          recipe: See `recipe`; of a stage whose rows do not depend on each other.
        """
        total = sum(s.rows for s in cut)
        there = kept.Kept(self.root, folders[-1], inputs, self.redo)
        if self.committed(stage, inputs, folders, cheap=False) and there.whole(cut):
            self.reused[stage] = len(cut)
            with self.reporter.stage(stage, total, lambda: total, reused=len(cut)):
                return
        old = self.earlier if self.adopt else None
        recipe = functools.cache(recipe) if recipe else None  # it reads the artifacts
        if old and recipe and old.alike(stage, recipe()):
            there = there.beside(old.carried(stage, inputs, folders, cut))
        pending = [s for s in cut if not there.has(s)]
        self.reused[stage] = len(cut) - len(pending)
        started = time.monotonic()
        with self.reporter.stage(
            stage, total, lambda: there.rows(cut), reused=self.reused[stage]
        ) as outcome:
            if pending and together:
                self.execute(lambda p: build(spans(p, cut)))
            elif pending:
                left = waiting.Pending(self.root, folders[-1], inputs)
                self.execute(lambda p: build(spans(p, pending) | "pending" >> beam.ParDo(left)))
            facts = summary(outcome) if summary else {}
        seconds = round(time.monotonic() - started, 3)
        done = {"shards": len(cut), "reused": self.reused[stage], "seconds": seconds}
        if recipe:
            facts |= {"recipe": recipe(), "adopted": there.adopted()}
        self.commit(stage, inputs, folders, {**done, **facts})


def digests(root: str, folders: tuple[str, ...]) -> dict[str, str]:
    """Digest of every file under some folders of a run, by its place in it."""
    found = {}
    for folder in folders:
        where = storage.join(root, folder)
        urls = finding.tree(where) if storage.is_folder(where) else [where]
        for url in urls:
            place = url.removeprefix(root).lstrip("/")
            found[place] = digest(storage.read_bytes(url))
    return found


def digest(data: bytes) -> str:
    """Of a file's bytes, as `digests` has it."""
    return seeding.digest(data).hex()


def spans(pipeline: beam.Pipeline, cut: list[shards.Shard]) -> beam.PCollection:
    """The work list. One Reshuffle, or every shard would be fused onto one worker."""
    work = sources.spans(cut)
    listed = pipeline | "list" >> beam.Create(work).with_output_types(shards.Span)
    return listed | "spread" >> beam.Reshuffle()


def _plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"cannot digest {type(value).__name__}")
