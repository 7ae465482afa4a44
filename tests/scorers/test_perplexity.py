"""Language models against naive Python, an ARPA file by hand, and a forward loop."""

import collections
import importlib.util
import math
import re

import numpy as np
import pyarrow as pa
import pytest

from tamis import artifacts, errors, testing
from tamis.scorers import language, ngram_model, perplexity

# The extra `perplexity` is built by a C++ compiler, which a machine for tests need not have.
needs_kenlm = pytest.mark.skipif(not importlib.util.find_spec("kenlm"), reason="needs kenlm")

TRAINED = ["The cat sat. The cat ran!", "a dog sat", "the dog", ""]
ASKED = ["the cat sat", "a bird sat", "dog dog dog", "", "zz"]


class Naive:
    """Witten and Bell's equation over dictionaries."""

    def __init__(self, texts, order):
        self.order = order
        self.counts = collections.Counter()
        self.after = collections.defaultdict(set)
        for text in texts:
            for history, word in self.steps(text):
                for n in range(order):
                    h = history[len(history) - n :]
                    self.counts[h, word] += 1
                    self.after[h].add(word)

    def steps(self, text):
        words = re.findall(r"\w+|[^\w\s]+", text.lower())
        padded = ["<s>"] * (self.order - 1) + words
        for i, word in enumerate(words):
            yield tuple(padded[i : i + self.order - 1]), word

    def p(self, word, history):
        below = self.p(word, history[1:]) if history else 1 / (len(self.after[()]) + 1)
        total = sum(self.counts[history, w] for w in self.after[history])
        kinds = len(self.after[history])
        return (self.counts[history, word] + kinds * below) / (total + kinds) if total else below

    def log_perplexity(self, text):
        logs = [math.log(self.p(word, history)) for history, word in self.steps(text)]
        return -sum(logs) / len(logs) if logs else math.log(len(self.after[()]) + 1)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_ngram_model_is_witten_and_bell_s(order):
    model = ngram_model.Model(ngram_model.count(pa.array(TRAINED), order), order)
    found = perplexity.log_perplexity(model(pa.array(ASKED)))
    naive = Naive(TRAINED, order)
    assert found.tolist() == pytest.approx([naive.log_perplexity(t) for t in ASKED], rel=1e-6)


def test_its_probabilities_sum_to_one():
    """Over the words known and one that is not, after any history."""
    naive = Naive(TRAINED, 3)
    words = [*naive.after[()], "unknown"]
    for history in [("the", "cat"), ("<s>", "<s>"), ("never", "seen")]:
        assert sum(naive.p(w, history) for w in words) == pytest.approx(1)


def test_its_counts_are_a_fold():
    testing.check_fold(ngram_model.Counting(3), pa.record_batch({"text": TRAINED * 9}))


def test_it_prefers_the_target_s_kind(tmp_path, paragraphs):
    text = {
        label: [row["text"] for row in paragraphs["doc"] if row["label"] == label]
        for label in ("network", "tasks")
    }
    counts = ngram_model.count(pa.array(text["network"][300:]), 3)
    artifacts.write_all(f"{tmp_path}/c.npz", **counts._asdict())
    rows = pa.record_batch({"text": text["network"][:300] + text["tasks"][:300]})
    scores = {
        keep: ngram_model.NgramModel(f"{tmp_path}/c.npz", keep=keep).score(rows)
        for keep in ("easy", "hard")
    }
    assert scores["easy"][:300].mean() > scores["easy"][300:].mean() + 0.1
    assert np.array_equal(scores["hard"], -scores["easy"])


@needs_kenlm
def test_kenlm_reads_an_arpa_file_by_hand(arpa):
    """Log10: 'cat' is -0.1 - 0.3; 'dog' backs off, -0.5 - 1.0, then -0.7; '' is -0.5 - 0.7."""
    scorer = perplexity.Perplexity(arpa)
    rows = pa.record_batch({"text": ["cat", "dog", "", " cat  dog "]})
    expected = np.array([-0.4 / 2, -2.2 / 2, -1.2, (-0.1 - 0.2 - 1.0 - 0.7) / 3]) * math.log(10)
    np.testing.assert_allclose(scorer.score(rows), expected, rtol=1e-5)
    import kenlm

    model = kenlm.Model(arpa)
    assert scorer.score(rows)[1] == pytest.approx(-math.log(model.perplexity("dog")), rel=1e-5)
    testing.check_scorer(scorer, rows)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A GPT-2 of two layers with random weights, and a tokenizer of words."""
    tokenizers = pytest.importorskip("tokenizers")
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = {w: i for i, w in enumerate(["<s>", "[UNK]", "the", "cat", "sat", "dog"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=6, n_positions=32, n_embd=8, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_causal_model_is_asked_token_by_token(tiny):
    import torch
    import transformers

    model = transformers.GPT2LMHeadModel.from_pretrained(tiny).eval()
    expected = []
    for ids in ([0, 2, 3, 4], [0, 5], [0, 1, 1]):
        logs = []
        for i in range(1, len(ids)):
            with torch.no_grad():
                logits = model(torch.tensor([ids[:i]])).logits[0, -1].double()
            logs.append(float(torch.log_softmax(logits, 0)[ids[i]]))
        expected.append(np.mean(logs))
    scorer = perplexity.Perplexity(tiny, backend="transformers")
    rows = pa.record_batch({"text": ["the cat sat", "dog", "zz yy", ""]})
    np.testing.assert_allclose(scorer.score(rows), [*expected, -math.log(6)], rtol=1e-4)
    testing.check_scorer(scorer, rows)
    one = perplexity.Perplexity(tiny, backend="transformers", tokens=1)
    same = pa.record_batch({"text": ["the cat sat", "the"]})
    assert len(set(one.score(same).tolist())) == 1


@pytest.mark.parametrize("backend", [pytest.param("kenlm", marks=needs_kenlm), "transformers"])
def test_a_model_that_is_not_there_is_an_error(backend, tmp_path):
    scorer = perplexity.Perplexity(str(tmp_path / "none"), backend=backend)
    with pytest.raises(errors.ConfigError, match=r"score\.perplexity\.model: .*none"):
        scorer.setup()


def test_options_are_checked():
    with pytest.raises(errors.ConfigError, match="backend 'ken'"):
        perplexity.Perplexity("m", backend="ken")
    with pytest.raises(errors.ConfigError, match="order is 0"):
        ngram_model.NgramModel("c", order=0)


def test_languages_are_told_apart():
    rows = pa.record_batch(
        {
            "text": [
                "The committee met on Monday to discuss the plan.",
                "Der Ausschuss traf sich am Montag, um den Plan zu besprechen.",
                "委员会于星期一开会讨论该计划。",
                "",
                "The committee met on Monday\nand then went home.",
            ]
        }
    )
    english = language.Language().score(rows)
    assert english[0] > 0.5 > 0.2 > english[1]
    assert english[2] < 0.2
    assert english[4] > 0.5
    either = language.Language(("de", "zh")).score(rows)
    assert either[1] > 0.5 < either[2]
    everything = language.Language(("en", "de", "zh")).score(rows)
    np.testing.assert_allclose(everything, english + either, atol=1e-5)
    testing.check_scorer(language.Language(), rows)


def test_a_language_that_the_model_does_not_know_is_an_error():
    with pytest.raises(errors.ConfigError, match="does not know english"):
        language.Language(("en", "english")).setup()
    for wrong in ((), "en"):
        with pytest.raises(errors.ConfigError, match="list one code or more"):
            language.Language(wrong)
