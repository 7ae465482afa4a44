"""Fashion-MNIST as three sources in the three forms that images come in, and a target.

    apt-get download dataset-fashion-mnist
    dpkg -x dataset-fashion-mnist*.deb data/fashion-package
    python -m examples.fashion_mnist data/fashion-package data/fashion

`curated` is small and right, a folder for each class. `web` is larger, and a third of its labels
are of another class: a WebDataset archive. `shop` is as large and right, but nearly all of it is
shoes and bags: Parquet. Xiao, Rasul & Vollgraf (2017), MIT.
"""

import argparse
import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

NAMES = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
SHOP = (0.01, 0.01, 0.01, 0.01, 0.01, 0.25, 0.01, 0.25, 0.24, 0.2)
WRONG = 1 / 3


def idx(folder, name):
    """LeCun's IDX format: two zero bytes, type, number of dimensions, their sizes, the data."""
    found = next(Path(folder).rglob(name), None)
    if found is None:
        raise SystemExit(f"no {name} under {folder}\n\n{__doc__}")
    data = gzip.decompress(found.read_bytes())
    sizes = np.frombuffer(data, ">i4", data[3], 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)


def png(image):
    """An image as the bytes of a file."""
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG")
    return sink.getvalue()


def main(package, out, rows):
    """Write the sources; `rows` in the large ones, a fifth of it in `curated`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    images = idx(package, "train-images-idx3-ubyte.gz")
    labels = idx(package, "train-labels-idx1-ubyte.gz")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    share = np.array(SHOP)[labels[order]] / np.bincount(labels, minlength=10)[labels[order]]
    shop = order[rng.choice(len(order), rows, replace=False, p=share / share.sum())]
    left = order[~np.isin(order, shop)]
    for i in left[: rows // 5]:
        folder = out / "curated" / NAMES[labels[i]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:05d}.png").write_bytes(png(images[i]))
    web = left[rows // 5 : rows // 5 + rows]
    wrong = rng.random(rows) < WRONG
    told = np.where(wrong, (labels[web] + rng.integers(1, 10, rows)) % 10, labels[web])
    write_tar(out / "web.tar", zip(web, images[web], told, strict=True))
    write_parquet(out / "shop.parquet", shop, images[shop], labels[shop])
    test, answers = (
        idx(package, f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1")
    )
    seen = slice(0, rows)
    write_parquet(out / "target.parquet", np.arange(len(test))[seen], test[seen], answers[seen])


def write_tar(path, rows):
    """Members `KEY.png` and `KEY.cls`."""
    with tarfile.open(path, "w") as out:
        for i, image, label in rows:
            for extension, data in (("png", png(image)), ("cls", NAMES[label].encode())):
                info = tarfile.TarInfo(f"{i:05d}.{extension}")
                info.size = len(data)
                out.addfile(info, io.BytesIO(data))


def write_parquet(path, ids, images, labels):
    """Columns `id, image, label`."""
    kinds = [NAMES[label] for label in labels]
    columns = {"id": ids, "image": [png(image) for image in images], "label": kinds}
    pq.write_table(pa.table(columns), path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package")
    parser.add_argument("out")
    parser.add_argument("--rows", type=int, default=2000, help="in each large source")
    given = parser.parse_args()
    main(given.package, given.out, given.rows)
