"""Decoding in a process of its own: a decoder that crashes or hangs loses an image, not the run.

A child reads images from its standard input and says of each whether it can be decoded. It is given
a limited time of the processor for each, so that a busy machine rejects nothing, and a limited
address space. Where it dies the image it was at is to blame, and the next child goes on with the
one after it.

Cost, beside the decoding itself: 0.15 s for a child, which serves a shard, and about 10 µs and a
copy of its bytes for an image. POSIX only.
"""

import contextlib
import json
import os
import select
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from tamis import decoding, errors

_HEAD = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_FRAME_BYTES, _FRAME_IMAGES = 8 << 20, 256
_START_SECONDS = 120
_WALL = 20  # seconds of the clock for each of the processor: a last resort, for a child that sleeps
_SPACE = 2 << 30  # address space of the interpreter and its libraries, beside the pixels
_CHILD = (sys.executable, "-c", "from tamis import isolation; isolation.serve()")

Verdict = tuple[str, str]  # a reason of `schemas.rejected.REASONS` and what exactly; or twice ""
GOOD: Verdict = ("", "")


class Limits(NamedTuple):
    """What an image may take.

    Attributes:
      max_pixels: Of its header.
      seconds: Of processor time to decode it.
    """

    max_pixels: int = decoding.MAX_PIXELS
    seconds: float = 10.0


class Checker:
    """Says which images can be decoded. A context manager, which ends the child.

    Args:
      limits: Of each image.
      command: The child's command line.
    """

    def __init__(self, limits: Limits, command: Sequence[str] = _CHILD) -> None:
        decoding.require("a source of images")
        self._limits, self._command = limits, command
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __call__(self, images: Sequence[bytes]) -> list[Verdict]:
        """The verdict on each, in order.

        Raises:
          RunnerError: no child can be started.
        """
        found: list[Verdict] = []
        while len(found) < len(images):
            part = _frame(images, len(found))
            answers = list(self._ask(part))
            found += answers
            if len(answers) < len(part):
                found.append(self._blame())
        return found

    def _ask(self, images: Sequence[bytes]) -> Iterator[Verdict]:
        """Verdicts until all are given or the child is gone."""
        child = self._started()
        try:
            child.stdin.write(_HEAD.pack(len(images)))  # type: ignore[union-attr]
            for image in images:
                child.stdin.write(_LENGTH.pack(len(image)))  # type: ignore[union-attr]
                child.stdin.write(image)  # type: ignore[union-attr]
            child.stdin.flush()  # type: ignore[union-attr]
        except OSError:
            return
        for _ in images:
            line = self._line(self._limits.seconds * _WALL)
            if line is None:
                return
            reason, error = json.loads(line)
            yield reason, error

    def _line(self, seconds: float) -> bytes | None:
        """The child's next line; None if it is gone, or silent for so long."""
        stream = self._child.stdout.fileno()  # type: ignore[union-attr]
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([stream], [], [], seconds)
            more = os.read(stream, 1 << 16) if ready else b""
            if not more:
                return None
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [*self._command, json.dumps(self._limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            if self._line(_START_SECONDS) is None:
                self._end()
                raise errors.RunnerError(
                    "the process that decodes images does not start",
                    remedy="try `python -c 'import PIL.Image'`, and look at the memory there is",
                )
        return self._child

    def _blame(self) -> Verdict:
        """What became of the child at an image."""
        child = self._started()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(0.1)  # a dead child may not have been reaped yet
        code = child.poll()
        self._end()
        how = "did not end" if code is None else f"ended with status {code}"
        return "decoder_failed", f"the decoder {how}; {self._limits.seconds:g} s are allowed"

    def _end(self) -> None:
        child, self._child, self._buffer = self._child, None, b""
        if child is None:
            return
        child.kill()
        with contextlib.suppress(OSError):
            child.stdin.close()  # type: ignore[union-attr]
        child.stdout.close()  # type: ignore[union-attr]
        child.wait()


def _frame(images: Sequence[bytes], start: int) -> Sequence[bytes]:
    """The images to send together: at least one."""
    stop, size = start, 0
    while stop < min(len(images), start + _FRAME_IMAGES):
        size += len(images[stop])
        if stop > start and size > _FRAME_BYTES:
            break
        stop += 1
    return images[start:stop]


def serve() -> None:
    """The child: frames of images in, a line of JSON out for each."""
    import resource
    import signal

    from PIL import Image

    limits = Limits(*json.loads(sys.argv[1]))
    Image.MAX_IMAGE_PIXELS = None  # ours is checked instead
    space = _SPACE + 24 * limits.max_pixels
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    _say(sink, GOOD)
    while head := source.read(_HEAD.size):
        (count,) = _HEAD.unpack(head)
        images = [source.read(_LENGTH.unpack(source.read(_LENGTH.size))[0]) for _ in range(count)]
        for image in images:
            # Its signal ends the process, in whatever library it is.
            signal.setitimer(signal.ITIMER_PROF, limits.seconds)
            verdict = _verdict(image, limits.max_pixels)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _say(sink, verdict)


def _verdict(image: bytes, max_pixels: int) -> Verdict:
    try:
        decoding.picture(image, max_pixels)
    except decoding.UnreadableError as error:
        return error.reason, str(error)
    return GOOD


def _say(sink: BinaryIO, verdict: Verdict) -> None:
    sink.write(json.dumps(verdict).encode() + b"\n")
    sink.flush()
