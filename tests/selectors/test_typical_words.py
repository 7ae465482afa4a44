import numpy as np
import pytest

from tamis.selectors import typical_words


def test_log_odds_are_those_of_the_equations():
    counts = np.array([[5, 1, 10], [2, 7, 10]])
    z = typical_words.log_odds(counts)
    total = counts.sum()
    for g in range(2):
        for w in range(3):
            alpha = 50 * counts[:, w].sum() / total
            y, n = counts[g, w], counts[g].sum()
            other, m = counts[1 - g, w], counts[1 - g].sum()
            apart = np.log((y + alpha) / (n + 50 - y - alpha))
            apart -= np.log((other + alpha) / (m + 50 - other - alpha))
            error = np.sqrt(1 / (y + alpha) + 1 / (other + alpha))
            assert z[g, w] == pytest.approx(apart / error)
    np.testing.assert_array_less(z[0, 1], 0)
    assert not typical_words.log_odds(np.zeros((2, 3), np.int64)).any()
    assert not typical_words.log_odds(np.array([[4, 0]])).any()


SOUPS = [f"the soup of {w} with onions" for w in ("leek", "bean", "pea", "carrot")] * 3
GAMES = [f"The {w}: a goal for the league" for w in ("team", "coach", "keeper", "fans")] * 3
GROUP = np.repeat([0, 2], 12)


def test_a_group_is_called_by_what_sets_it_apart():
    soup, empty, game = typical_words.names(SOUPS + GAMES, GROUP, 3)
    assert set(soup.split(", ")) <= {"soup", "of", "with", "onions"}
    assert {"goal", "league"} < set(game.split(", "))
    assert "the" not in f"{soup}, {game}".split(", ")
    assert empty == ""


def test_names_do_not_depend_on_the_order_of_rows():
    order = np.random.default_rng(3).permutation(len(GROUP))
    texts = [(SOUPS + GAMES)[i] for i in order]
    assert typical_words.names(texts, GROUP[order], 3) == typical_words.names(
        SOUPS + GAMES, GROUP, 3
    )


def test_a_label_names_a_group_that_it_holds_and_the_others_do_not():
    labels = ["food"] * 8 + [None] * 2 + ["art"] * 2 + ["sports"] * 9 + ["art"] * 3
    soup, _, game = typical_words.names(SOUPS + GAMES, GROUP, 3, labels)
    assert soup.startswith("food: ")
    assert game.startswith("sports: ")
    even = ["neg", "pos"] * 12
    assert ":" not in "".join(typical_words.names(SOUPS + GAMES, GROUP, 3, even))
    whole = ["one"] * 24  # what all rows have names none of them
    assert ":" not in "".join(typical_words.names(SOUPS + GAMES, GROUP, 3, whole))


def test_labels_alone_do_and_nothing_is_nothing():
    bare = typical_words.names([None] * 4, np.array([0, 0, 1, 2]), 3, ["a", "a", "b", "c"])
    assert bare == ("a", "b", "c")
    assert typical_words.names([None] * 2, np.array([0, 1]), 2, [None, None]) == ("", "")
    assert typical_words.names([], np.array([], np.int64), 2) == ("", "")
