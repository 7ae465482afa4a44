"""The example without labels, end to end, on files laid out as packages have them."""

import json
import pathlib
import zipfile

import pytest
import yaml

from examples import unlabelled
from tamis import runfile
from tamis.pipelines import chain, check, plan, verify

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def packages(tmp_path, paragraphs):
    """Files as Debian, licensedcode-data and WordNet have them, with other texts."""
    said = [
        " ".join(row["text"].split()) for kind in ("doc", "comment") for row in paragraphs[kind]
    ]
    part = len(said) // 3
    folder = tmp_path / "packages"
    (folder / "lists").mkdir(parents=True)
    listed = "".join(
        f"Package: p{i}\nDescription-en: {text[:30]}\n {text}\n .\n {text}\n\n"
        for i, text in enumerate(said[:part])
    )
    (folder / "lists" / "debian_main_i18n_Translation-en").write_text(listed, "utf-8")
    with zipfile.ZipFile(folder / "licensedcode_data-1-py3-none-any.whl", "w") as archive:
        for i, text in enumerate(said[part : 2 * part]):
            archive.writestr(f"rules/{i}.RULE", f"---\nlicense: x\n---\n{text}")
    (folder / "wordnet").mkdir()
    rows = "".join(f"0000 03 n 01 word | {text[:120]}\n" for text in said[2 * part :])
    (folder / "wordnet" / "data.noun").write_text(f"  1 A licence\n{rows}", "utf-8")
    return folder


def test_the_example_without_labels_runs(packages, tmp_path):
    data = tmp_path / "data"
    unlabelled.main(packages, data, 150)
    first = json.loads((data / "descriptions.jsonl").read_text().splitlines()[0])
    assert set(first) == {"id", "text"}
    assert all((data / f"{name}.jsonl").stat().st_size for name in ("functions", "licences"))
    text = (ROOT / "examples" / "unlabelled.yaml").read_text()
    document = yaml.safe_load(text.replace("data/unlabelled", str(data)))
    document |= {"run": str(tmp_path / "run"), "check": {"seeds": 2}, "cluster": {"k": 4}}
    document["plan"]["budgets"] = [200]
    document["pilot"]["budget"] = 6_000
    here = chain.run(runfile.parse(yaml.safe_dump(document)))
    assert verify.verify(here, lambda _: None)
    assert {s.name.partition("/")[0] for s in plan.read(here).strata} == {
        "descriptions",
        "functions",
        "licences",
    }
    (budget,) = check.read(here).budgets
    for found in (budget.chosen, budget.random, budget.everything, budget.top):
        assert 0 < found.error < 1  # knowing nothing is 1
