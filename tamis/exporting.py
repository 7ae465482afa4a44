"""`tamis export` and `tamis import`: a run's manifests in the forms that others read and write."""

from typing import Annotated

import typer

from tamis import console, errors, finding, storage
from tamis.schemas import manifest

_FILES = {"datacomp": ".npy", "dclm": ".json", "croissant": ".json"}  # the rest are folders
Kind = Annotated[
    str, typer.Option("--to", metavar="KIND", help="parquet, hf, webdataset, mds, ...")
]
Budget = Annotated[int | None, typer.Option("--budget", help="Samples, where the run has several")]
Which = Annotated[str, typer.Option("--manifest", help="manifest, random or everything")]
Out = Annotated[str, typer.Option("--out", help="Default RUN/exports/KIND/samples-N")]


def export(
    run: console.Run,
    to: Kind,
    budget: Budget = None,
    which: Which = manifest.FOLDER,
    out: Out = "",
) -> None:
    """Write a manifest as parquet, hf, webdataset, mds, datacomp, dclm or croissant."""
    from tamis.loaders import exports

    root = console.load(run).run
    name = _manifest(root, which, budget)
    where = out or storage.join(root, "exports", to, name + _FILES.get(to, ""))
    exports.export(storage.join(root, which, name), to, where)
    console.out.print(where, markup=False)


def _manifest(root: str, which: str, budget: int | None) -> str:
    """The folder of the manifest that is meant."""
    found = finding.tree(storage.join(root, which)) if storage.exists(root) else []
    names = sorted({p.split("/")[-2] for p in found if p.endswith("/" + manifest.DOCUMENT)})
    wanted = f"samples-{budget}" if budget is not None else ""
    if wanted in names:
        return wanted
    if len(names) == 1 and not wanted:
        return names[0]
    raise errors.ConfigError(
        f"no manifest {wanted}" if wanted else "which manifest?",
        where=storage.join(root, which),
        remedy=f"--budget, one of {', '.join(n.removeprefix('samples-') for n in names)}"
        if names
        else "run select first",
    )


def adopt(
    run: console.Run,
    uids: Annotated[str, typer.Argument(metavar="UIDS.npy", help="DataComp subset file")],
    out: Annotated[str, typer.Option("--out", help="Default RUN/imported/NAME")] = "",
) -> None:
    """Make a manifest of a list of uids that somebody else has chosen among the run's rows."""
    from tamis.loaders import uid_lists
    from tamis.pipelines import chain

    here = chain.reading(console.load(run).run)
    name = uids.rpartition("/")[2].removesuffix(".npy")
    where = out or storage.join(here.root, "imported", name)
    if storage.exists(where):
        raise errors.ConfigError("there is something already", where=where, remedy="give --out")
    made = uid_lists.adopt(here.root, uids, here.cut("supply"), where)
    console.out.print(f"{where}: {made['rows']:,} rows, {made['samples']:,} samples", markup=False)
