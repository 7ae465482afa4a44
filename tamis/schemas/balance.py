"""Where the supply's rows went, for one budget.

rows = selected + not_selected + duplicate + rejected, where `removed` is a reason to be rejected
"""

import dataclasses

from tamis import errors
from tamis.schemas import rejected as bad


@dataclasses.dataclass(frozen=True)
class Balance:
    """One side and the other of the law.

    Attributes:
      samples: The budget.
      rows: Rows of the inputs.
      selected: Distinct rows in the manifest.
      not_selected: Rows that would do, and were not needed.
      duplicate: Copies of another row.
      rejected: Bad rows, by reason; rows that were removed have theirs.
    """

    samples: int
    rows: int
    selected: int
    not_selected: int
    duplicate: int
    rejected: dict[str, int]

    @property
    def removed(self) -> int:
        """Rows that were taken out, by their uid or with their source."""
        return self.rejected.get(bad.REMOVED, 0)

    def check(self, where: str) -> None:
        """Raise ManifestError unless it balances."""
        out = self.selected + self.not_selected + self.duplicate + sum(self.rejected.values())
        if out != self.rows or self.not_selected < 0:
            raise errors.ManifestError(
                f"{self.rows:,} rows in, {out:,} accounted for",
                where=where,
                why=str(dataclasses.asdict(self)),
                remedy="please file an issue: a stage lost or made up rows",
            )
