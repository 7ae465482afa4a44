"""One stage of a run as one Dataflow job: what the Flex template's launcher runs.

A template is one job, and a whole run is some twenty, so the template has the two stages that are
one job each and take the time: `ingest` and `embed`. The others are quick; run them from anywhere
that sees the run folder: `tamis run FILE` skips what is done.
"""

import argparse

from tamis import runfile
from tamis.pipelines import chain


def parser() -> argparse.ArgumentParser:
    """Options of our own; all others are Beam's."""
    made = argparse.ArgumentParser()
    made.add_argument("--run_file", required=True)
    made.add_argument("--stage", choices=("ingest", "embed"), default="embed")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Run the stage, with Beam's options after the run file's."""
    own, beams = parser().parse_known_args(arguments)
    chain.run(runfile.load(own.run_file), stages=(own.stage,), args=tuple(beams))


if __name__ == "__main__":
    main()
