"""What scorers with artifacts have in common: they travel as their fields and load on arrival."""

import dataclasses
from typing import Any


class Fitted:
    """Base of a frozen dataclass whose artifact is the cached property `_artifact`."""

    def __getstate__(self) -> dict[str, Any]:
        # The fields alone: an artifact that was loaded stays behind.
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def setup(self) -> None:
        _ = self._artifact  # type: ignore[attr-defined]
