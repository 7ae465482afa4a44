"""A run in progress: its folder, config, ledger, and the rule by which a stage runs or is skipped.

A stage is committed by a line in the ledger after every one of its shards is. What it was made
from is one digest: its config section, its code version, and the digests of the stages it reads.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable

import apache_beam as beam

from tamis import errors, ledger, progress, seeding, sidecars, sources, storage
from tamis.pipelines import engine, view
from tamis.schemas import config, index, shards

SHARDS = "shards.json"


@dataclasses.dataclass
class Session:
    """One run folder being worked on.

    Attributes:
      config: The run file.
      args: Beam's own options.
      redo: Replace a stage that was made from other inputs, instead of refusing to.
      reporter: Shows progress.
      ledger: The document of `run.json`.
      reused: Shards kept from an earlier run, by stage.
    """

    config: config.Run
    args: tuple[str, ...] = ()
    redo: bool = False
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
        """Make or open the run folder."""
        self.ledger = ledger.start(self.root, self.config.model_dump(mode="json"))

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
        return seeding.digest(stage, version, text, *made).hex()

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
        made = [
            (folder, entry["inputs"])
            for entry in self.ledger["stages"].values()
            for folder in entry["folders"]
        ]
        dimension = self.ledger["stages"].get("ingest", {}).get("dimension", 0)
        longest = self.config.ingest.max_text_bytes
        return view.View(self.root, tuple(sorted(made)), longest, dimension)

    def execute(self, build: Callable[[beam.Pipeline], object]) -> None:
        """Run one pipeline on the configured runner."""
        engine.run(self.config.runner, self.args, build)

    def save_shards(self, cut: list[shards.Shard]) -> None:
        """Remember how the inputs were cut."""
        text = json.dumps([shards.document(s) for s in cut], indent=1)
        storage.write_atomic(storage.join(self.root, SHARDS), text.encode())

    def has_shards(self) -> bool:
        """Whether it is known how the inputs were cut."""
        return storage.exists(storage.join(self.root, SHARDS))

    def cut(self, role: shards.Role | None = None) -> list[shards.Shard]:
        """The shards of the run, in order; of one role only if asked."""
        where = storage.join(self.root, SHARDS)
        if not storage.exists(where):
            self.inputs("ingest")
        try:
            cut = [shards.parse(d) for d in json.loads(storage.read_bytes(where))]
        except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
            raise errors.ArtifactError(
                "the list of shards is missing or damaged",
                where=where,
                why=str(error),
                remedy=f"delete {where} and run again: it is cut anew",
            ) from error
        return [s for s in cut if role in (None, s.file.role)]

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
        """
        total = sum(s.rows for s in cut)
        if self.committed(stage, inputs, folders, cheap=False) and self._whole(folders[-1], cut):
            self.reused[stage] = len(cut)
            with self.reporter.stage(stage, total, lambda: total, reused=len(cut)):
                return
        pending = [s for s in cut if not self._kept(folders[-1], s, inputs)]
        self.reused[stage] = len(cut) - len(pending)
        started = time.monotonic()
        count = _counter(self.root, folders[-1], cut)
        with self.reporter.stage(stage, total, count, reused=self.reused[stage]) as outcome:
            if pending:
                work = cut if together else pending
                self.execute(lambda p: build(spans(p, work)))
            facts = summary(outcome) if summary else {}
        seconds = round(time.monotonic() - started, 3)
        done = {"shards": len(cut), "reused": self.reused[stage], "seconds": seconds}
        self.commit(stage, inputs, folders, {**done, **facts})

    def _whole(self, folder: str, cut: list[shards.Shard]) -> bool:
        """Whether every shard has its sidecar: a person may have deleted a damaged one."""
        there = storage.listing(storage.join(self.root, folder), ".parquet")
        return {f"{s.name}.parquet" for s in cut} <= set(there)

    def _kept(self, folder: str, shard: shards.Shard, inputs: str) -> bool:
        """Whether an earlier run committed this sidecar, from the same inputs."""
        where = sidecars.url(self.root, folder, shard.name)
        if not storage.exists(where):
            return False
        found = sidecars.stamp_of(self.root, folder, shard.name)
        if folder == index.FOLDER:
            expected = sidecars.Stamp(found.index, inputs)
        else:
            aligned = sidecars.stamp_of(self.root, index.FOLDER, shard.name).index
            expected = sidecars.Stamp(aligned, inputs)
        if self.redo and found != expected:
            return False
        sidecars.check(self.root, folder, shard.name, expected)
        return True


def digests(root: str, folders: tuple[str, ...]) -> dict[str, str]:
    """Digest of every file under some folders of a run, by its place in it."""
    found = {}
    for folder in folders:
        where = storage.join(root, folder)
        urls = storage.tree(where) if storage.is_folder(where) else [where]
        for url in urls:
            place = url.removeprefix(root).lstrip("/")
            found[place] = seeding.digest(storage.read_bytes(url)).hex()
    return found


def spans(pipeline: beam.Pipeline, cut: list[shards.Shard]) -> beam.PCollection:
    """The work list. One Reshuffle, or every shard would be fused onto one worker."""
    work = sources.spans(cut)
    listed = pipeline | "list" >> beam.Create(work).with_output_types(shards.Span)
    return listed | "spread" >> beam.Reshuffle()


def _counter(root: str, folder: str, cut: list[shards.Shard]) -> progress.Count:
    rows = {f"{s.name}.parquet": s.rows for s in cut}

    def count() -> int:
        names = storage.listing(storage.join(root, folder), ".parquet")
        return sum(rows.get(name.rsplit("/", 1)[-1], 0) for name in names)

    return count


def _plain(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"cannot digest {type(value).__name__}")
