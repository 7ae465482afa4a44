"""A package of its own, built by its build backend and installed by pip, adds nouns."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from tamis import errors, plugins

ROOT = pathlib.Path(__file__).parents[1]

PROJECT = """
    [build-system]
    requires = ["setuptools>=77"]
    build-backend = "setuptools.build_meta"

    [project]
    name = "tamis-shouting"
    version = "0.1"

    [project.entry-points."tamis.scorers"]
    shouting = "shouting:Shouting"

    [project.entry-points."tamis.selectors"]
    every_other = "shouting:EveryOther"
    lost = "shouting:NotThere"
    broken = "not_a_module:Thing"

    [tool.setuptools]
    py-modules = ["shouting"]
"""

MODULE = '''
    """A scorer and a selector that tamis does not know."""

    import dataclasses
    from typing import ClassVar

    import numpy as np
    import pyarrow.compute as pc

    from tamis.schemas import uids


    @dataclasses.dataclass(frozen=True)
    class Shouting:
        """Share of characters that are not upper case."""

        name: str = "shouting"
        reads: ClassVar[tuple[str, ...]] = ("text",)

        def setup(self):
            pass

        def score(self, batch):
            text = batch.column("text")
            upper = pc.count_substring_regex(text, "[A-Z]").to_numpy()
            length = np.maximum(pc.utf8_length(text).to_numpy(), 1)
            return (1 - upper / length).astype(np.float32)


    @dataclasses.dataclass(frozen=True)
    class EveryOther:
        """Every second row in the order of the uids, then the rest."""

        start: int = 0
        reads: ClassVar[tuple[str, ...]] = ("uid",)

        def select(self, pool, budget, rng):
            uid = uids.from_hex(pool.column("uid"))
            order = np.lexsort((uid[:, 1], uid[:, 0]))
            return np.concatenate([order[self.start :: 2], order[1 - self.start :: 2]])[:budget]
'''

USE = """
    import pyarrow as pa
    from tamis import errors, scorers, testing
    from tamis.schemas import uids
    from tamis.selectors import registry

    batch = pa.record_batch({
        "uid": uids.of("s", pa.array([str(i) for i in range(40)])),
        "text": pa.array([("a" * (i % 7) + "B" * (i % 3)) for i in range(40)], pa.large_string()),
    })
    scorer = scorers.build("shouting", {})
    testing.check_scorer(scorer, batch)
    selector = registry.build("every_other", {"start": 1})
    testing.check_selector(selector, batch, prefix=True)
    print(type(scorer).__module__, type(selector).__module__, selector.start)

    def told(call, *args):
        try:
            call(*args)
        except errors.ConfigError as error:
            print(str(error).replace(chr(10), ""))

    told(scorers.find, "shoutin")
    told(registry.build, "every_other", {"stat": 1})
    told(registry.find, "lost")
    told(registry.find, "broken")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that pip has installed the package into."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "pyproject.toml").write_text(textwrap.dedent(PROJECT))
    (source / "shouting.py").write_text(textwrap.dedent(MODULE))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    pip += ["--no-build-isolation", "--target", str(target), str(source)]
    ran = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert list(target.glob("tamis_shouting-*.dist-info/entry_points.txt"))
    return target


@pytest.fixture(scope="module")
def told(installed):
    """What a fresh Python says that has the package on its path."""
    path = os.pathsep.join([str(ROOT), str(installed)])
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_an_installed_scorer_and_selector_are_found_and_keep_the_laws(told):
    assert told[0] == "shouting shouting 1"


def test_errors_name_a_plug_in_and_its_options(told):
    assert "there is no scorer 'shoutin'" in told[1]
    assert "did you mean shouting?" in told[1]
    assert "'select.every_other.stat'" in told[2]
    assert "did you mean 'start'?" in told[2]


def test_a_plug_in_that_cannot_be_imported_is_named(told):
    assert "shouting:NotThere: the selector 'lost' cannot be imported" in told[3]
    assert "not_a_module:Thing: the selector 'broken' cannot be imported" in told[4]
    assert "No module named 'not_a_module'" in told[4]


def test_our_own_come_first_and_the_nearest_is_named():
    assert plugins.find("scorer", {"uniform": 3}, "uniform") == 3
    with pytest.raises(errors.ConfigError, match=r"no selector 'unifrom'(?s:.*)mean uniform\?"):
        plugins.find("selector", {"uniform": 3}, "unifrom")
    with pytest.raises(errors.ConfigError, match="choose one, or install its package"):
        plugins.find("selector", {"uniform": 3}, "zzz")


def test_a_wrong_value_of_an_option_says_where():
    def kind(size, name="x"):
        raise ValueError(f"size is {size}")

    with pytest.raises(errors.ConfigError, match=r"score\.kind: size is 3"):
        plugins.build(kind, {"size": 3}, {}, "score.kind")
    with pytest.raises(errors.ConfigError, match=r"unknown option 'score\.kind\.name'"):
        plugins.build(kind, {"name": "y"}, {}, "score.kind")
