import json
import subprocess
import sys

import pytest

from tamis import errors, ledger, storage

HOLD = """
import sys, time, tamis.ledger
with tamis.ledger.lock(sys.argv[1]):
    print(flush=True)
    time.sleep(99)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a folder."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_ledger_is_read_back_and_keeps_its_stages(tmp_path):
    root = str(tmp_path / "run")
    document = ledger.start(root, {"seed": 1})
    ledger.commit(root, document, "ingest", {"inputs": "abc"})
    again = ledger.start(root, {"seed": 2})
    assert again["stages"]["ingest"]["inputs"] == "abc"
    assert again["config"] == {"seed": 2}
    assert {"numpy", "apache-beam", "python"} <= set(again["versions"])
    assert ledger.read(root) == again


def test_a_folder_without_ledger_is_not_a_run(tmp_path):
    with pytest.raises(errors.ArtifactError, match=r"not a run folder \(no run\.json\)"):
        ledger.read(str(tmp_path))


@pytest.mark.parametrize("text", ["", '{"stages": {', "[]", "{}", '{"stages": []}', "\x00", "null"])
def test_a_damaged_ledger_is_named_and_left_alone(tmp_path, text):
    file = tmp_path / "run.json"
    file.write_text(text)
    for look in (ledger.read, lambda root: ledger.start(root, {})):
        with pytest.raises(errors.ArtifactError, match=r"run\.json: the ledger is damaged"):
            look(str(tmp_path))
    assert file.read_text() == text


def test_every_state_of_the_ledger_is_kept_under_its_checksum(tmp_path):
    root = str(tmp_path)
    document = ledger.start(root, {"seed": 1})
    ledger.commit(root, document, "ingest", {"inputs": "abc"})
    ledger.start(root, {"seed": 1})  # nothing new to say
    assert ledger.verify(root) == 2
    first, last = sorted((tmp_path / ledger.RECORDS).iterdir())
    assert last.read_bytes() == (tmp_path / "run.json").read_bytes()
    assert json.loads(first.read_text())["stages"] == {}


@pytest.mark.parametrize("harm", ["changed", "taken out", "cut short"])
def test_a_record_that_was_harmed_is_named(tmp_path, harm):
    root = str(tmp_path)
    for seed in range(3):
        ledger.start(root, {"seed": seed})
    record = sorted((tmp_path / ledger.RECORDS).iterdir())[1]
    if harm == "taken out":
        record.unlink()
    else:
        data = record.read_bytes()
        record.write_bytes(data[:-9] if harm == "cut short" else data.replace(b"1", b"2", 1))
    with pytest.raises(
        errors.ArtifactError, match=r"ledger/00000\d-.*a record .* is missing, or not"
    ):
        ledger.verify(root)


def test_a_damaged_ledger_is_mended_from_its_newest_whole_record(tmp_path):
    root, file = str(tmp_path), tmp_path / "run.json"
    for seed in range(3):
        ledger.start(root, {"seed": seed})
    newest = sorted((tmp_path / ledger.RECORDS).iterdir())[-1]
    text = file.read_text()
    file.write_text(text.replace("2", "3", 1))
    with pytest.raises(errors.ArtifactError, match="not what was last written"):
        ledger.verify(root)
    file.write_text(text[:40])
    with pytest.raises(errors.ArtifactError, match=rf"copy {newest} over it"):
        ledger.read(root)
    file.write_bytes(newest.read_bytes())
    assert ledger.read(root)["config"] == {"seed": 2}


def test_a_second_process_is_told_who_holds_the_lock(tmp_path, holder):
    message = rf"\.lock: another run is at work in this folder \(locked by process {holder.pid} on "
    with pytest.raises(errors.RunnerError, match=message), ledger.lock(str(tmp_path)):
        pass


def test_a_lock_dies_with_its_process(tmp_path, holder):
    holder.kill()
    holder.wait()
    with ledger.lock(str(tmp_path)):
        pass


def test_a_lock_can_be_taken_again(tmp_path):
    for _ in range(2):
        with ledger.lock(str(tmp_path)):
            assert (tmp_path / ledger.LOCK).read_text().startswith("process ")


def test_an_object_store_is_locked_by_an_object():
    root = "memory://lock-test/run"
    with ledger.lock(root):
        with pytest.raises(errors.RunnerError, match="delete the lock object"), ledger.lock(root):
            pass
        assert storage.exists(f"{root}/.lock")
    assert not storage.exists(f"{root}/.lock")


def test_no_clock_is_in_the_ledger_but_the_time_of_a_commit(tmp_path):
    first = json.dumps(ledger.start(str(tmp_path / "a"), {}))
    assert first == json.dumps(ledger.start(str(tmp_path / "b"), {}))
