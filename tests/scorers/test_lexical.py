"""Examples worked by hand, and naive loops as the oracle."""

import collections
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tamis.scorers import lexical, text_statistics

GOOD = (
    "The committee met on Monday to discuss the plan that the mayor had put forward in spring. "
    "Members asked whether it would be wise to build with borrowed money, and several of them "
    "said they have doubts. A vote was put off until the next session, when new figures should "
    "be ready for everyone to read. Nobody objected.\n"
    "After lunch the group visited the old harbour, where work on a second pier is under way."
)


def stats(*texts):
    found = text_statistics.statistics(pa.array(texts, pa.string()))
    return {name: values.tolist() for name, values in found.items()}


def failed(text, **limits):
    passed = lexical.rules(pa.array([text]), lexical.Lexical(**limits))
    return {name for name in passed.schema.names if not passed[name][0].as_py()}


def test_a_newspaper_paragraph_passes_every_rule():
    assert failed(GOOD) == set()
    assert lexical.Lexical().score(pa.record_batch({"text": [GOOD]})).tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Too short of a text to be judged and that.", "enough_words"),
        (GOOD + " abcdefghijklmnopqrstuvwxyz" * 60, "word_length"),
        (GOOD + " #tag" * 12, "few_symbols"),
        (GOOD + " 1234" * 40, "alphabetic"),
        ("cat dog house tree. " * 20, "stop_words"),
        ("- " + GOOD.replace("\n", "\n- "), "few_bullets"),
        (GOOD[:-1] + "...", "few_ellipses"),
        ("\n".join([GOOD] * 4), "repeated_lines"),
        (GOOD + " buffalo buffalo" * 20, "top_2_gram"),
        (GOOD + "\n" + GOOD, "repeated_5_grams"),
        (GOOD + "\n" + GOOD, "repeated_10_grams"),
        (GOOD + " one two three" * 12, "top_3_gram"),
        (GOOD + " one two three four" * 9, "top_4_gram"),
        ("\n\n".join([GOOD] * 3), "repeated_paragraphs"),
        ("\n\n".join([GOOD] * 3), "repeated_paragraph_letters"),
        (GOOD + "\nx\ny\nz\n" + GOOD.splitlines()[0], "repeated_line_letters"),
        (GOOD.replace(".", ",") + ".", "enough_sentences"),
        (GOOD + " Please enable JavaScript.", "no_notices"),
        (GOOD + " This site uses cookies.", "no_notices"),
        (GOOD.replace(".", ""), "closed_lines"),
        (GOOD.replace(". ", ".\n") + "\nx.\ny.\nz.\nu.\nv.\nw.\np.\nq.", "short_lines"),
        (GOOD + " Lorem Ipsum dolor.", "no_boilerplate"),
        (GOOD + " function() {}.", "no_boilerplate"),
        (GOOD + " http://a.example/b" * 30 + ".", "few_urls"),
    ],
)
def test_each_rule_fires_on_what_it_is_for(text, rule):
    assert rule in failed(text)


def test_thresholds_can_be_moved():
    short = "To be that of which we have heard."
    assert "enough_words" in failed(short)
    assert "enough_words" not in failed(short, min_words=3)


def test_shares_by_hand():
    s = stats("The cat #1 sat…\n\n * Of dogs.\n * Of dogs.\n")
    assert s["words"] == [10]
    assert s["word_length"] == [(3 + 3 + 2 + 4 + 1 + 2 + 5 + 1 + 2 + 5) / 10]
    assert s["symbols"] == [1 / 10]  # one of each kind; the kinds do not add up
    assert s["alphabetic"] == [7 / 10]
    assert s["stop_words"] == [2]
    assert s["bullets"] == [2 / 3]
    assert s["ellipses"] == [1 / 3]
    assert s["closed_lines"] == [2 / 3]
    assert s["short_lines"] == [1]
    assert s["repeated_lines"] == [1 / 3]
    assert s["top_2_gram"] == [2 * 7 / 28]  # "Of dogs." twice, 7 letters each
    assert s["repeated_5_grams"] == [0]


def test_nothing_has_zero_of_everything():
    for text in ("", " \n\t "):
        assert all(values == [0] for values in stats(text).values())


def test_a_text_above_all_limits_of_length():
    assert stats("a " * 1000)["repeated_5_grams"] == [995 / 1000 + 4 / 1000]


def naive_repeated(words, n):
    seen, covered = set(), set()
    for i in range(len(words) - n + 1):
        gram = tuple(words[i : i + n])
        if gram in seen:
            covered |= set(range(i, i + n))
        seen.add(gram)
    return sum(len(words[i]) for i in covered) / max(sum(map(len, words)), 1)


def naive_top(words, n):
    count = collections.Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    letters = [t * sum(map(len, gram)) for gram, t in count.items() if t > 1]
    return min(max(letters, default=0) / max(sum(map(len, words)), 1), 1)


def test_ngrams_are_those_of_the_naive_loops():
    rng = np.random.default_rng(0)
    vocabulary = ["a", "bb", "ccc", "dd", "é", "東京"]
    texts = [" ".join(rng.choice(vocabulary, rng.integers(0, 60))) for _ in range(200)]
    texts += [" ".join([*t.split()[:20], "x", *t.split()[3:18]]) for t in texts[:50]]
    s = stats(*texts)
    for n in range(5, 11):
        assert s[f"repeated_{n}_grams"] == [naive_repeated(t.split(), n) for t in texts]
    for n in (2, 3, 4):
        assert s[f"top_{n}_gram"] == [naive_top(t.split(), n) for t in texts]
    assert s["words"] == [len(t.split()) for t in texts]
    assert s["alphabetic"] == [float(bool(re.search(r"\w", t))) for t in texts]


def test_stop_words_count_once_in_any_case():
    assert stats("The THE the, (the) to")["stop_words"] == [2]


def test_a_slice_is_read_from_its_own_offset():
    texts = pa.array(["x", GOOD, "y", None][:3])
    sliced = text_statistics.statistics(texts.slice(1, 1))
    alone = text_statistics.statistics(pa.array([GOOD]))
    assert {k: v.tolist() for k, v in sliced.items()} == {k: v.tolist() for k, v in alone.items()}


@pytest.mark.parametrize("words", range(7))
def test_a_batch_of_very_few_words_has_statistics(words):
    assert stats(" ".join("abcdefg"[:words]))["words"] == [words]


def test_white_space_at_the_end_of_a_batch_is_no_part_of_a_word():
    for _ in range(200):  # what stands behind the buffer differs from call to call
        text = pc.replace_substring(pa.array(["x", "the cat."]), ".", " ")
        assert text_statistics.statistics(text)["word_length"].tolist() == [1, 3]


def test_a_null_text_is_an_error():
    with pytest.raises(ValueError, match="a text is null"):
        stats("a", None)


def test_every_rule_is_in_the_documented_table():
    passed = lexical.rules(pa.array([GOOD]), lexical.Lexical())
    for name in passed.schema.names:
        assert name in lexical.__doc__
