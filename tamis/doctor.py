"""Doctor: what is installed, what is missing, and the exact line that installs it."""

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import shutil


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
      part: What was looked at.
      ok: Whether it is there.
      note: Its version, or why it is wanted.
      remedy: The line that installs it; empty when it is there.
    """

    part: str
    ok: bool
    note: str
    remedy: str = ""


_CORE = ("apache-beam", "faiss-cpu", "fsspec", "numpy", "pyarrow", "pydantic", "scipy", "typer")
_EXTRAS = {
    "static": (("wordllama",), "embed.backend: static, no torch"),
    "embed": (("torch", "sentence-transformers"), "embed.backend: sentence-transformers"),
    "s3": (("s3fs",), "s3:// paths"),
    "gcp": (("gcsfs",), "gs:// paths and Dataflow"),
}


def findings() -> list[Finding]:
    """Look at the interpreter, the core, the extras and the machine."""
    python = Finding("python", ok=True, note=platform.python_version())
    core = [_core(name) for name in _CORE]
    extras = [_extra(name, *spec) for name, spec in _EXTRAS.items()]
    return [python, *core, *extras, _gpu(), _cores()]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _core(name: str) -> Finding:
    version = _version(name)
    if not version and name == "faiss-cpu":
        version = next((v for p in ("faiss-gpu-cu12", "faiss-gpu") if (v := _version(p))), "")
    return Finding(
        name, bool(version), version or "missing", "" if version else "pip install tamis"
    )


def _extra(name: str, packages: tuple[str, ...], purpose: str) -> Finding:
    missing = [p for p in packages if not _version(p)]
    if missing:
        note = f"{purpose}; missing: {', '.join(missing)}"
        return Finding(f"[{name}]", ok=False, note=note, remedy=f"pip install 'tamis[{name}]'")
    versions = ", ".join(f"{p} {_version(p)}" for p in packages)
    return Finding(f"[{name}]", ok=True, note=versions)


def _gpu() -> Finding:
    if shutil.which("nvidia-smi") is None:
        return Finding("gpu", ok=False, note="no NVIDIA driver; everything runs on the CPU")
    if importlib.util.find_spec("torch") is None:
        remedy = "pip install 'tamis[gpu]'"
        return Finding("gpu", ok=False, note="a driver, but no torch", remedy=remedy)
    import torch

    if not torch.cuda.is_available():
        return Finding("gpu", ok=False, note=f"torch {torch.__version__} sees no CUDA device")
    return Finding("gpu", ok=True, note=torch.cuda.get_device_name(0))


def _cores() -> Finding:
    return Finding("cores", ok=True, note=f"{os.cpu_count()}; runner.workers uses them")
