"""Decoders that crash, hang or eat memory: the child dies, the next image is decoded."""

import sys

import pytest

from tamis import errors, isolation
from tests import dirty

GOOD = dirty.GOOD["plain.png"]
# A decoder with the faults that real ones have, at images that say so.
FAULTY = """
import os, time
from tamis import decoding, isolation
true = decoding.picture
def picture(data, max_pixels):
    if data == b"crash": os.abort()
    if data == b"spin":
        while True: pass
    if data == b"sleep": time.sleep(60)
    if data == b"eat": return bytearray(64 << 30)
    return true(data, max_pixels)
decoding.picture = picture
isolation.serve()
"""


def checked(images, **limits):
    limits = isolation.Limits(**{"seconds": 0.3} | limits)
    with isolation.Checker(limits, (sys.executable, "-c", FAULTY)) as check:
        return check(images)


def test_verdicts_are_those_of_decoding_in_place():
    images = {**dirty.GOOD, **{name: data for name, (data, _) in dirty.BAD.items()}}
    with isolation.Checker(isolation.Limits()) as check:
        found = dict(zip(images, check(list(images.values())), strict=True))
        assert check([]) == []
    assert {n: v[0] for n, v in found.items()} == {
        **dict.fromkeys(dirty.GOOD, ""),
        **{name: reason for name, (_, reason) in dirty.BAD.items()},
    }


def test_an_image_that_kills_its_decoder_is_the_only_one_lost():
    images = [GOOD, b"crash", GOOD, b"crash", b"crash", GOOD]
    found = checked(images)
    assert [reason == "" for reason, _ in found] == [image == GOOD for image in images]
    assert "ended with status -6" in found[1][1]


def test_an_image_that_hangs_is_cut_off_by_processor_time():
    found = checked([GOOD, b"spin", GOOD])
    assert [reason for reason, _ in found] == ["", "decoder_failed", ""]


def test_a_decoder_that_sleeps_is_cut_off_by_the_clock(monkeypatch):
    monkeypatch.setattr(isolation, "_WALL", 2)
    found = checked([b"sleep", GOOD], seconds=1)
    assert found[0][0] == "decoder_failed"
    assert "did not end" in found[0][1]
    assert found[1] == isolation.GOOD


def test_memory_is_limited():
    found = checked([b"eat", GOOD], seconds=5)
    assert [reason for reason, _ in found] == ["decoder_failed", ""]


def test_a_child_that_cannot_start_is_an_error_and_not_a_verdict():
    command = (sys.executable, "-c", "raise SystemExit(3)")
    with (
        isolation.Checker(isolation.Limits(), command) as check,
        pytest.raises(errors.RunnerError, match="does not start"),
    ):
        check([GOOD])


@pytest.mark.parametrize("images", [1, 600])
def test_frames_hold_any_number(images):
    with isolation.Checker(isolation.Limits()) as check:
        assert check([GOOD] * images) == [isolation.GOOD] * images
