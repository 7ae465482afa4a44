"""One self-contained HTML page that says what was chosen, why, and how far to trust it.

    Session -> gather -> Facts -> build -> html

`gather` reads a run folder with bounded memory, `build` is a pure function of the facts, and
`report` is the stage that writes `RUN/report.html`. The page runs no script and asks the network
for nothing.
"""

from tamis.report.collect import gather
from tamis.report.facts import Facts
from tamis.report.page import build
from tamis.report.stage import report

__all__ = ["Facts", "build", "gather", "report"]
