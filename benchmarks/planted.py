"""Faults planted in clean data: which scorers find them, and what clean rows do they take for one?

    python -m benchmarks.planted [--data DIR]
        [--only images,pairs,paraphrases,lacking,tail,perplexities]

- **images**: 2,000 pictures of Fashion-MNIST and 100 of each fault; `image_rules` with its
  thresholds (but `min_side`), and what share of each class it turns away.
- **pairs**: the same with a caption of their class, a tenth with another's. No CLIP is in reach of
  a package client, so the space of both is `pixels`, mapped on WordLlama by ridge regression.
- **paraphrases**: evaluation sentences in capitals, out of order, with other words (WordNet's), and
  cut short, in a pool of other sentences: `near_contamination` and `contamination`.
- **lacking**: a supply that has hardly any of half of the target's classes.
- **tail**: how many rare concepts are left in a tenth of the pool.
- **perplexities**: shuffled words, typing errors, docstrings and repeats among sentences:
  `perplexity` by a trigram model of WordNet's glosses (`pip install kenlm`), and `ngram_model` of
  the target.

Data: VADER (fetched), Fashion-MNIST's Debian package in DIR/fashion-package (`make data/fashion`),
`apt-get download wordnet-base`, unpacked in DIR/wn. Found: the share of planted rows below the
score of the lowest hundredth, and tenth, of clean ones; AUC: how often a clean row is above one.
"""

import argparse
import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageFilter
from scipy import stats
from sklearn import linear_model

from benchmarks import junk, pruning, scorers
from tamis import artifacts, demo
from tamis.embedders import pixels, static
from tamis.scorers import concepts, contamination, image_rules, image_text, near_contamination
from tamis.scorers import ngram_model as ngrams

PARTS = ("images", "pairs", "paraphrases", "lacking", "tail", "perplexities")
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker")
CLASSES += ("bag", "ankle boot")
POOLS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--only", default=",".join(PARTS))
    options = parser.parse_args()
    for part in options.only.split(","):
        globals()[part](options.data)


def found(clean, planted) -> str:
    """Cells of a table: below the lowest 1 and 10 % of clean rows, and the AUC."""
    at = [np.mean(planted < np.quantile(clean, q)) for q in (0.01, 0.1)]
    above = stats.mannwhitneyu(clean, planted).statistic / len(clean) / len(planted)
    return f"{at[0]:.2f} | {at[1]:.2f} | {above:.3f}"


# ---- pictures ----------------------------------------------------------------------------------


def fashion(folder: Path, rows: int):
    """Pictures (rows, 28, 28) and classes, the first of the training set."""
    where = folder / "fashion-package/usr/share/datasets/fashion-mnist"
    read = pruning.idx(where / "train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    return read[:rows], pruning.idx(where / "train-labels-idx1-ubyte.gz", 8)[:rows].astype(int)


def encoded(picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(out, "PNG")
    return out.getvalue()


def images(folder: Path) -> None:
    x, y = fashion(folder, 2_100)
    rng, some = np.random.default_rng(0), x[2_000:]
    large = [Image.fromarray(p).resize((224, 224), Image.Resampling.BICUBIC) for p in x[:100]]
    faults = {
        "blurred (radius 1)": [
            Image.fromarray(p).filter(ImageFilter.GaussianBlur(1)) for p in some
        ],
        "blurred (radius 2)": [
            Image.fromarray(p).filter(ImageFilter.GaussianBlur(2)) for p in some
        ],
        "one colour": [np.full((28, 28), v, np.uint8) for v in range(100)],
        "noise": list(rng.integers(0, 256, (100, 28, 28), np.uint8)),
        "a strip, 4 : 1": [np.tile(p, (1, 4)) for p in some],
        "inverted": [255 - p for p in some],
        "clean, at 224 x 224": large,
    }
    data = {name: [encoded(p) for p in made] for name, made in faults.items()}
    data["cut off"] = [d[: len(d) // 2] for d in map(encoded, some)]
    scorer = image_rules.ImageRules(min_side=28)
    scorer.setup()

    def score(pictures):
        return scorer.score(pa.record_batch({"image": pa.array(pictures, pa.binary())}))

    clean = score([encoded(p) for p in x[:2_000]])
    print("\n### image_rules: share that fails a rule\n\n| pictures | fail |\n|---|---|")
    print(f"| clean | {np.mean(clean < 1):.3f} |")
    for name, made in data.items():
        print(f"| {name} | {np.mean(score(made) < 1):.2f} |")
    for c, name in enumerate(CLASSES):
        print(f"| clean, {name} | {np.mean(clean[y[:2_000] == c] < 1):.3f} |")


def pairs(folder: Path) -> None:
    x, y = fashion(folder, 6_000)
    caption = static.Static()([f"a photo of a {name}" for name in CLASSES])
    picture = pixels.Pixels()([encoded(p) for p in x])
    inside = linear_model.Ridge(1.0).fit(picture[:2_000], caption[y[:2_000]]).predict(picture)
    said, rng = y.copy(), np.random.default_rng(0)
    wrong = np.flatnonzero((rng.random(len(x)) < 0.1) & (np.arange(len(x)) >= 2_000))
    said[wrong] = (y[wrong] + rng.integers(1, 10, len(wrong))) % 10
    score = image_text.cosine(inside.astype(np.float32), caption[said].astype(np.float32))
    pool, bad = np.arange(2_000, 5_000), np.isin(np.arange(len(x)), wrong)
    clean = pool[~bad[pool]]
    print("\n### image_text: a tenth of the captions is another class's\n")
    print("| | below the lowest 1 % of right ones | 10 % | AUC |\n|---|---|---|---|")
    print(f"| all | {found(score[clean], score[pool[bad[pool]]])} |")
    cut = np.quantile(score[pool], 0.1)
    lost = [f"{n} {np.mean(score[clean[y[clean] == c]] < cut):.2f}" for c, n in enumerate(CLASSES)]
    print(f"\nRight captions lost with the lowest tenth of the pool: {', '.join(lost)}")
    order = pool[np.argsort(score[pool], kind="stable")]
    test = (picture[5_000:], y[5_000:])
    for share in (0.1, 0.3, 0.7):
        cut = int(share * len(pool))
        kept, random = order[cut:], rng.permutation(pool)[cut:]
        errors = [probe(picture[r], said[r], test) for r in (kept, random)]
        print(f"Lowest {share:.0%} left out: error {errors[0]:.3f}, at random {errors[1]:.3f}")


def probe(x, y, test) -> float:
    """Test error of logistic regression."""
    model = linear_model.LogisticRegression(C=10, max_iter=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, y)
    return float(np.mean(model.predict(test[0]) != test[1]))


# ---- texts -------------------------------------------------------------------------------------


def sentences(name: str) -> list[str]:
    demo.fetch(scorers.FOLDER)
    return [t for t, _ in junk.rows(scorers.FOLDER / f"{name}.jsonl")]


def synonyms(folder: Path) -> dict[str, str]:
    """The first other word of the first sense of a noun, verb, adjective or adverb."""
    known: dict[str, str] = {}
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"wn/usr/share/wordnet/data.{part}").read_text().splitlines():
            fields = line.split()
            if line.startswith("  ") or int(fields[3], 16) < 2:
                continue
            words = [w.partition("(")[0].replace("_", " ").lower() for w in fields[4:8:2]]
            known.setdefault(words[0], words[1])
            known.setdefault(words[1], words[0])
    return known


def paraphrased(texts: list[str], folder: Path) -> dict[str, list[str]]:
    """Each text, told in other ways."""
    rng, other = np.random.default_rng(0), synonyms(folder)
    words = [t.split() for t in texts]
    half = [w[len(w) // 2 :] + w[: len(w) // 2] for w in words]
    return {
        "capitals": [t.upper() for t in texts],
        "halves swapped": [" ".join(w) for w in half],
        "words shuffled": [" ".join(rng.permutation(w)) for w in words],
        "synonyms": [" ".join(other.get(v.lower(), v) for v in w) for w in words],
        "every third word left out": [
            " ".join(v for i, v in enumerate(w) if i % 3 != 2) for w in words
        ],
        "synonyms, halves swapped": [" ".join(other.get(v.lower(), v) for v in w) for w in half],
    }


def paraphrases(folder: Path) -> None:
    asked = [t for t in sentences("target") if len(t.split()) >= 12][:400]
    pool = [t for name in ("movie", "amazon", "tweets") for t in sentences(name)]
    embed = static.Static()
    against = scorers.vectors(embed(asked))
    known = contamination.evaluation(pa.array(asked), 8)

    def scored(texts):
        near = -near_contamination.evidence(scorers.vectors(embed(texts)), against).cosine
        return near, -contamination.evidence(pa.array(texts), known).overlap

    clean = scored(pool)
    print("\n### Contamination, 400 sentences of the target told in other ways\n")
    print("| told | near_contamination: below 1 % of others | 10 % | AUC | 8-grams: any shared |")
    print("|---|---|---|---|---|")
    print(f"| *others* | | | | {np.mean(clean[1] < 0):.3f} |")
    for name, texts in paraphrased(asked, folder).items():
        near, exact = scored(texts)
        print(f"| {name} | {found(clean[0], near)} | {np.mean(exact < 0):.2f} |")
    worst = [pool[i] for i in np.argsort(clean[0])[:3]]
    print("\nThe nearest others:", *worst, sep="\n- ")


def lacking(folder: Path) -> None:
    setting = pruning.SETTINGS["plentiful"]
    x, y, test = setting.load(folder / "fashion-package")
    x = scorers.vectors(x)
    rows: dict[str, list[list[float]]] = {}
    rare = np.arange(10) % 2 == 1
    for seed in range(POOLS):
        rng = np.random.default_rng(seed)
        mine = rng.permutation(test)
        few = rng.random(len(mine)) < np.where(rare[y[mine]], 0.05, 1)
        supply, aside = mine[:12_000][few[:12_000]][:4_000], mine[-600:]
        data = scorers.Data(x[supply], y[supply], None, x[aside], None, (x[test:], y[test:]))
        with tempfile.TemporaryDirectory() as scratch:
            batch = scorers.batch_of(data, np.arange(len(supply)))
            made = [s for s in scorers.fitted(scratch, batch, data, seed) if s.name in LACKING]
            scores = {s.name: s.score(batch) for s in made}
        scores["random"] = rng.random(len(supply))
        for name, score in scores.items():
            order = np.argsort(-score, kind="stable")
            risen = stats.mannwhitneyu(score[rare[y[supply]]], score[~rare[y[supply]]]).statistic
            risen /= rare[y[supply]].sum() * (~rare[y[supply]]).sum()
            parts = [order[: int(p * len(order))] for p in (0.05, 0.1, 0.3)]
            shares = [rare[y[supply[p]]].mean() for p in parts]
            errors = [scorers.error(data, p) for p in parts]
            rows.setdefault(name, []).append([risen, *shares, *errors])
    print("\n### lacking: half of the target's classes are a twentieth as frequent in the supply\n")
    print("| score | AUC of lacked rows | their share of the best 5 / 10 / 30 % | probe's error |")
    print("|---|---|---|---|")
    for name, many in rows.items():
        m, s = np.mean(many, axis=0), np.std(many, axis=0, ddof=1) / POOLS**0.5
        shares = " / ".join(f"{v:.2f}" for v in m[1:4])
        told = " / ".join(f"{v:.3f}" for v in m[4:])
        print(f"| {name} | {m[0]:.2f} | {shares} | {told} (± {s[4:].max():.3f}) |")


LACKING = ("target_similarity", "transport_potential", "quality_classifier")


def tail(folder: Path) -> None:
    pool, target = (
        [t for n in ("movie", "amazon", "tweets") for t in sentences(n)],
        sentences("target"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        batch = pa.record_batch({"text": pa.array(pool, pa.large_string())})
        listed = scorers.vocabulary(pa.array(target, pa.large_string()))
        made = scorers.on_concepts(scratch, batch, listed)
        known = concepts.Entries(
            *artifacts.read_all(f"{scratch}/entries.npz", concepts.Entries._fields)
        )
        row, entry = concepts.named(batch.column("text"), known)
        count = np.bincount(entry, minlength=len(known.gram))
        rare = np.flatnonzero((count > 0) & (count <= 5))
        orders = {"random": np.random.default_rng(0).permutation(len(pool))}
        for scorer in made:
            orders[scorer.name] = np.argsort(-scorer.score(batch), kind="stable")
            orders[f"{scorer.name}, lowest"] = orders[scorer.name][::-1]
    print(f"\n### tail: {len(rare):,} of {(count > 0).sum():,} concepts are named 1 to 5 times\n")
    print(
        "| score | of them left in the best 10 % | of all concepts | words a text |\n"
        "|---|---|---|---|"
    )
    for name, order in orders.items():
        kept = np.unique(entry[np.isin(row, order[: len(order) // 10])])
        words = np.mean([len(pool[i].split()) for i in order[: len(order) // 10]])
        whole = len(kept) / (count > 0).sum()
        print(f"| {name} | {np.isin(rare, kept).mean():.2f} | {whole:.2f} | {words:.1f} |")


def junk_of(texts: list[str]) -> dict[str, list[str]]:
    rng = np.random.default_rng(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")

    def typed(text: str) -> str:
        made = list(text)
        for i in np.flatnonzero(rng.random(len(made)) < 0.1):
            made[i] = str(rng.choice(letters)) if made[i].isalpha() else made[i]
        return "".join(made)

    return {
        "words shuffled": [" ".join(rng.permutation(t.split())) for t in texts],
        "a letter in ten wrong": [typed(t) for t in texts],
        "docstrings": [t for t, _ in junk.docstrings(len(texts))],
        "the first three words over and over": [" ".join(t.split()[:3] * 6) for t in texts],
    }


def perplexities(_: Path) -> None:
    aside, target = sentences("movie"), sentences("target")
    with tempfile.TemporaryDirectory() as scratch:
        artifacts.write_all(
            f"{scratch}/n.npz", **ngrams.count(pa.array(target, pa.large_string()), 3)._asdict()
        )
        models = [ngrams.NgramModel(f"{scratch}/n.npz"), *scorers.general_english(scratch)]

        def score(model, texts):
            return model.score(pa.record_batch({"text": pa.array(texts, pa.large_string())}))

        print("\n### perplexities: junk beside 600 movie sentences, likely texts highest\n")
        print(
            "| model | junk | below the lowest 1 % of sentences | 10 % | AUC |\n"
            "|---|---|---|---|---|"
        )
        for model in models:
            clean = score(model, aside)
            for name, texts in junk_of(aside[:300]).items():
                print(f"| {model.name} | {name} | {found(clean, score(model, texts))} |")


if __name__ == "__main__":
    main()
