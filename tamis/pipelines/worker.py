"""What a local worker process runs: Beam's own worker, silent on the terminal.

Beam's logs a page of INFO lines per process and pipeline to stderr, where progress is shown. What
goes wrong still reaches the launcher, over the control channel.
"""

import logging
import sys


def main() -> None:
    """Run the worker until its pipeline is done."""
    logging.getLogger().handlers[:] = [logging.NullHandler()]
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
