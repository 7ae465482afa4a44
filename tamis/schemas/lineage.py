"""What a run takes over from an earlier one, and what of it is taken out."""

import pydantic
from pydantic import Field

from tamis.schemas.parts import Name, Part

FOLDER = "frozen"  # of a run folder: copies of what was taken over
KEY = "lineage"  # in the ledger's entry of ingest, and in `manifest.json`


class Removed(Part):
    """Rows that may not be trained on, whatever the inputs still hold."""

    sources: list[Name] = Field([], description="Sources of the frozen run that are no longer used")
    uids: str = Field("", description="Text file of uids, one a line: every copy of them goes")

    @pydantic.field_validator("sources")
    @classmethod
    def _ordered(cls, value: list[str]) -> list[str]:
        return sorted(set(value))
