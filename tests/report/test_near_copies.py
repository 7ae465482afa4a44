"""The report's word on near-copies."""

import xml.etree.ElementTree as ET

from tamis.pipelines import chain
from tamis.report import facts, near_copies, page


def test_a_run_that_sought_exact_copies_only_says_nothing(finished, configured, known):
    with chain.opened(configured(finished)) as here:
        assert near_copies.find(here) is None
    assert "Near-copies" not in page.build(known)


def test_pairs_are_shown_at_their_thresholds_with_both_texts(tmp_path, configured):
    lines = [
        f'{{"t": "the quick brown fox number {i % 4} jumps over it {"x" * (i // 4)}"}}\n'
        for i in range(24)
    ]
    (tmp_path / "a.jsonl").write_text("".join(lines))
    source = {"a": {"path": str(tmp_path / "a.jsonl"), "text": "t"}}
    table = {"measurements": str(tmp_path / "a.jsonl")}
    document = configured(
        tmp_path / "run",
        sources={"near": None, "far": None, **source},
        target=None,
        cluster={"k": 2},
        dedup={"threshold": 0.9, "floor": 0.6},
        plan=table,
    )
    here = chain.run(document, stages=("ingest", "embed", "cluster", "score", "dedup"))
    found = near_copies.find(here)
    assert (found.threshold, found.rows) == (0.9, 24)
    merged = dict(found.merged)
    assert merged[0.9] == found.near > 0
    assert list(merged.values()) == sorted(merged.values(), reverse=True)
    for contrast in found.pairs:
        least = float(contrast.title.rsplit(" ", 1)[1])
        for one, other in zip(contrast.above, contrast.below, strict=True):
            assert one.score == other.score >= least - 1e-3
            assert one.text.startswith("the quick")
            assert one.uid != other.uid


def test_the_page_has_the_table_and_the_pairs(vary, known):
    (contrast,) = known.contrasts
    merged = tuple((t / 100, 100 - t) for t in range(60, 100))
    near = facts.NearCopies(0.8, 200, 17, 3, merged, (contrast,))
    said = " ".join(ET.fromstring(page.build(vary(near=near)).split("\n", 1)[1]).itertext())
    assert "17 rows are near-copies of a better one, at a cosine of 0.8" in said
    assert "3 rows have more neighbouring clusters" in said
    assert "0.80" in said
    assert "a fine film" in said
