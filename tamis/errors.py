"""What can go wrong, as one tree.

TamisError
├── ConfigError     the YAML or the command line            exit 2
├── SchemaError     a file does not have the declared shape exit 1
├── ArtifactError   a file tamis wrote is stale or damaged  exit 1
├── PlanError       measurements that cannot carry a plan   exit 1
├── ManifestError   a manifest and its inputs disagree      exit 1
├── RunnerError     the engine, a lock or a worker          exit 1
├── RejectedError   more bad rows than the config allows    exit 3
└── CapacityError   the run will not fit this machine       exit 4
"""


class TamisError(Exception):
    """Base of every error tamis raises on purpose.

    Args:
      what: What failed, naming the value.
      where: `file`, `file:row`, or `file:line:column` in YAML.
      why: The cause in a line.
      remedy: What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        self.what, self.where, self.why, self.remedy = what, where, why, remedy
        head = f"{where}: {what}" if where else what
        body = f"{head} ({why})" if why else head
        super().__init__(f"{body}\n  -> {remedy}" if remedy else body)

    def __reduce__(self) -> tuple:
        """Survive a process boundary with the parts, which `Exception` would lose."""
        return _rebuild, (type(self), self.what, self.where, self.why, self.remedy)


def _rebuild(kind: type[TamisError], what: str, where: str, why: str, remedy: str) -> TamisError:
    return kind(what, where=where, why=why, remedy=remedy)


class ConfigError(TamisError):
    """The run file or the command line is wrong."""

    exit_code = 2


class SchemaError(TamisError):
    """An input file does not have the declared columns or types."""


class ArtifactError(TamisError):
    """A file tamis wrote is missing, stale, truncated or misaligned."""


class PlanError(TamisError):
    """The measurements or the budget cannot carry a plan."""


class ManifestError(TamisError):
    """A manifest and the inputs it points to disagree."""


class RunnerError(TamisError):
    """The engine, the run folder's lock or a worker failed."""


class RejectedError(TamisError):
    """More rows were rejected than `max_rejected_fraction` allows."""

    exit_code = 3


class CapacityError(TamisError):
    """The run will not fit the memory or disk it is given."""

    exit_code = 4
