import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

from tamis.report import budgets, page
from tamis.schemas import plan

NASTY = '<script>alert("x")</script>'


def tree(html):
    return ET.fromstring(html.removeprefix("<!DOCTYPE html>\n"))


def text_of(element):
    return " ".join(" ".join(element.itertext()).split())


def test_says_the_plan_and_its_numbers(known):
    said = text_of(tree(page.build(known)))
    assert known.plan.summary in said
    assert "from 500 to 8,000 samples" in said
    for number in ("0.346", "0.399", "0.402", "+0.053", "31,320", "1,234", "0.0043", "−0.2500"):
        assert number in said
    assert "3 min 5 s" in said
    assert "63167cb" in said


def test_says_what_the_rows_are_like(known):
    said = text_of(tree(page.build(known)))
    for number in ("4,096 rows", "14.2", "31.9", "1.77", "3×", "pos (3,000)", "neg (1,000)"):
        assert number in said
    assert "Label sharpness 8 One over" in said
    without = {"intrinsic_dimension": None, "classes": {}, "nearest_other_label": 0.0}
    odd = known.geometry.model_copy(update=without)
    said = text_of(tree(page.build(dataclasses.replace(known, geometry=odd))))
    assert "Intrinsic dimension –" in said
    assert "Class imbalance" not in said
    assert "∞" in said
    assert "shape of the data" not in page.build(dataclasses.replace(known, geometry=None))


def test_page_is_well_formed_and_deterministic(known):
    assert page.build(known) == page.build(known)
    svgs = tree(page.build(known)).findall(".//{http://www.w3.org/2000/svg}svg")
    assert len(svgs) >= 9  # three charts at three sizes
    assert all(s.get("viewBox") for s in svgs)


def test_asks_the_network_for_nothing_and_runs_nothing(known):
    html = page.build(known)
    urls = set(re.findall(r"https?://[^\s\"'<>]+", html))
    assert urls <= {"http://www.w3.org/2000/svg"}
    for word in ("<script", "<link", "<img", "<iframe", "url(", "@import", "javascript:"):
        assert word not in html
    attributes = {name for e in tree(html).iter() for name in e.attrib}
    assert not {a for a in attributes if a.startswith("on") or a in {"href", "src", "action"}}
    assert "default-src 'none'" in html.replace("&#x27;", "'")


def test_text_and_names_are_escaped(vary, known):
    bad = vary(names=(f"movie{NASTY}", 'a"b'), name=NASTY, config=NASTY, git=NASTY)
    html = page.build(bad)
    assert "<script" not in html
    assert f"movie{NASTY}" in text_of(tree(html))  # shown, not run
    assert 'title="a"b' not in html


def test_example_text_cannot_reorder_or_break_the_page(known):
    example = known.contrasts[0].above[0]
    odd = type(example)(f"{NASTY}\x00\u202egnp.exe\ud800", 0.5, "ab" * 16)
    contrast = known.contrasts[0].__class__("t", "u", "l", (odd,), (odd,))
    html = page.build(known.__class__(**{**vars(known), "contrasts": (contrast,)}))
    assert "\u202e" not in html
    assert "\x00" not in html
    assert "<script" not in html
    html.encode()
    tree(html)


def test_balance_adds_up_on_the_page(known):
    table = next(t for t in tree(page.build(known)).iter("table") if t.get("class") == "sums")
    cells = list(table.find("tbody/tr"))
    numbers = [int(c.findall("span")[-1].text.replace(",", "")) for c in cells]
    signs = [c.findtext("span[@class='sign']") for c in cells]
    assert signs == [None, None, "=", "+", "+", "+"]
    assert numbers[1] == sum(numbers[2:])


@pytest.mark.parametrize("samples", [(8000,), (500, 2000, 8000)])
@pytest.mark.parametrize("count", [1, 2, 12])
def test_any_number_of_budgets_and_strata(vary, samples, count):
    names = tuple(f"a-source-with-a-long-name-{i // 3}/tier-{i % 3}" for i in range(count))
    html = page.build(vary(names, samples))
    tree(html)
    for name in names:
        assert name in html


def test_without_check_selection_pilots_or_examples(vary):
    html = page.build(vary(check=None, pilots=(), contrasts=(), balance=(), intake=(), seconds=()))
    said = text_of(tree(html))
    assert "tamis check" in said
    assert "Where every row went" not in said
    assert "Rows to read" not in said
    assert "Measured" not in said


def test_a_measurement_outside_its_interval_is_said(known):
    budgets = [b.model_copy(update={"interval": (0.1, 0.2)}) for b in known.check.budgets]
    check = known.check.model_copy(update={"budgets": budgets})
    html = page.build(known.__class__(**{**vars(known), "check": check}))
    assert "outside the predicted interval" in html
    assert "outside the predicted interval" not in page.build(known)


def test_an_empty_frontier_has_no_chart(known):
    bare = known.plan.model_copy(update={"frontier": [], "crossings": []})
    html = page.build(known.__class__(**{**vars(known), "plan": bare}))
    assert "Error against budget" not in html


def test_a_run_that_continues_another_says_so_beside_the_account_of_its_rows(known):
    told = "runs/old: 50 rows more of far, without the 90 of near"
    html = page.build(dataclasses.replace(known, continues=told))
    (section,) = (s for s in tree(html).iter("section") if "account of the rows" in text_of(s))
    assert f"This run continues {told}. Every row of the inputs" in text_of(section)
    assert "This run continues" not in page.build(known)


def test_small(known):
    assert len(page.build(known)) < 200_000


def test_a_choice_that_loses_says_to_whom(known):
    told = str(budgets.overview(known))
    assert "Best tenth" in told
    assert told.count("loses to the best tenth") == 3
    assert "loses to random" not in told
    assert "+0.050 to +0.056" in told


def test_more_rows_of_no_use_are_not_told_in_zeros(known):
    """A change below three digits would read `-0.000 (-0.000 to +0.000)`."""
    gains = {"movie": -0.02, "amazon": -0.0004}

    def told(gains):
        worth = [
            plan.Marginal(
                stratum=s,
                per_row=v / 1000,
                per_row_interval=(v / 1000, v / 1000),
                per_1000_rows=v,
                interval=(v - 0.0001, v),
            )
            for s, v in gains.items()
        ]
        made = [b.model_copy(update={"marginal": worth}) for b in known.plan.budgets]
        bare = known.plan.model_copy(update={"budgets": made})
        return str(budgets.cards(dataclasses.replace(known, plan=bare)))

    assert "unique rows of: movie −0.020 (−0.020 to −0.020)." in told(gains)
    assert "unique rows of no stratum would change" in told({"amazon": -0.0004})
