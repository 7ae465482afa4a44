"""Commits, the lock and a whole stage on a real S3-compatible server, over HTTP."""

import threading

import pytest

from tamis import errors, ledger, sidecars, storage
from tamis.pipelines import chain

moto_server = pytest.importorskip("moto.server")
s3fs = pytest.importorskip("s3fs")

pytestmark = [
    # What botocore and the server's own packages warn of is theirs to mend.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def bucket():
    """A bucket on a server of our own; `s3://` of this process is there."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("pool")
        yield "s3://pool"
        s3fs.S3FileSystem.clear_instance_cache()
        server.stop()


def test_readers_see_the_old_object_or_the_new_one_and_never_half(bucket):
    url = f"{bucket}/atomic/part.parquet"
    blobs = [bytes([65 + i]) * 3_000_000 for i in range(3)]
    storage.write_atomic(url, blobs[0])
    seen, over = set(), threading.Event()

    def look():
        while not over.is_set():
            seen.add(storage.read_bytes(url))

    reader = threading.Thread(target=look)
    reader.start()
    for blob in blobs[1:] * 3:
        storage.write_atomic(url, blob)
    over.set()
    reader.join()
    assert seen <= set(blobs)
    assert storage.listing(f"{bucket}/atomic") == ["part.parquet"]


def test_a_writer_that_dies_leaves_what_was_there(bucket, monkeypatch):
    url = f"{bucket}/killed/part.parquet"
    storage.write_atomic(url, b"old")
    fs, _ = storage.filesystem(url)

    async def killed(*args, **kwargs):
        raise OSError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(type(fs), "_call_s3", killed)
        with pytest.raises(OSError, match="the connection broke"):
            storage.write_atomic(url, b"new" * 1_000)
    assert storage.read_bytes(url) == b"old"
    assert storage.listing(f"{bucket}/killed") == ["part.parquet"]


def test_of_runs_that_start_at_once_one_gets_the_folder(bucket):
    root, got, refused = f"{bucket}/locked", [], []
    hold, tried = threading.Event(), threading.Barrier(4)

    def start():
        tried.wait()
        try:
            with ledger.lock(root):
                got.append(1)
                hold.wait(20)
        except errors.RunnerError as error:
            refused.append(str(error))
        if len(refused) == 3:
            hold.set()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 3)
    assert all("another run is at work in this folder" in text for text in refused)
    assert not storage.exists(f"{root}/{ledger.LOCK}")


def test_stages_in_a_bucket_give_the_same_bytes_and_go_on_after_a_loss(
    bucket, configured, finished
):
    document = configured(f"{bucket}/run")
    chain.run(document, stages=("ingest", "embed"))
    names = storage.listing(f"{bucket}/run/embeddings", ".parquet")
    storage.remove_tree(f"{bucket}/run/embeddings/{names[1]}")
    again = chain.run(document, stages=("ingest", "embed"))
    assert again.reused == {"ingest": len(names), "embed": len(names) - 1}
    for folder in ("index", "embeddings"):
        for name in names:
            there = storage.read_bytes(f"{bucket}/run/{folder}/{name}")
            assert there == (finished.joinpath(folder, name)).read_bytes()
    assert ledger.verify(document.run)
    url = f"{bucket}/run/embeddings/{names[0]}"
    storage.write_atomic(url, storage.read_bytes(url)[:-50])
    with pytest.raises(errors.ArtifactError, match="sidecar is truncated or damaged"):
        sidecars.stamp_of(document.run, "embeddings", names[0].removesuffix(".parquet"))
