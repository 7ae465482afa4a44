"""A trigram model of WordNet's glosses, in the file format that KenLM reads.

Back-off with Witten and Bell's (1991) discount: p(w | h) = c(h w) / (c(h) + N(h)) for a word that
was seen behind h, and alpha(h) p(w | h') for any other. Small and in memory, for benchmarks:
KenLM's own `lmplz` makes better models, and is not in its Python package.
`apt-get download wordnet-base`, unpacked with `dpkg -x` in DATA/wn.
"""

import collections
import math
import re
from pathlib import Path

ORDER = 3


def glosses(data: Path) -> list[str]:
    """Definitions and their examples."""
    found = []
    for part in ("noun", "verb", "adj", "adv"):
        text = (data / f"wn/usr/share/wordnet/data.{part}").read_text()
        found += [line.partition(" | ")[2] for line in text.splitlines() if " | " in line]
    return found


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def write(texts: list[str], path: Path) -> None:
    """The model of some texts."""
    p, left = probabilities(texts)
    with path.open("w") as out:
        out.write("\\data\\\n")
        sized = [[g for g in p if len(g) == n] for n in range(1, ORDER + 1)]
        out.writelines(f"ngram {n}={len(some)}\n" for n, some in enumerate(sized, 1))
        for n, some in enumerate(sized, 1):
            out.write(f"\n\\{n}-grams:\n")
            for gram in some:
                after = f"\t{math.log10(left[gram]):.6f}" if gram in left else ""
                out.write(f"{math.log10(p[gram]):.6f}\t{' '.join(gram)}{after}\n")
        out.write("\n\\end\\\n")


def probabilities(texts: list[str]) -> tuple[dict[tuple, float], dict[tuple, float]]:
    """Of every n-gram's last word behind the others, and alpha of every history."""
    counts: collections.Counter = collections.Counter()
    for text in texts:
        seen = ("<s>", *words(text), "</s>")
        for n in range(1, ORDER + 1):
            counts.update(seen[i : i + n] for i in range(len(seen) - n + 1))
    del counts[("<s>",)]
    times: collections.Counter = collections.Counter()
    kinds: collections.Counter = collections.Counter()
    for gram, count in counts.items():
        times[gram[:-1]] += count
        kinds[gram[:-1]] += 1
    p = {g: c / (times[g[:-1]] + kinds[g[:-1]]) for g, c in counts.items()}
    p[("<unk>",)] = kinds[()] / (times[()] + kinds[()])
    known: collections.Counter = collections.Counter()  # what h' gives the words seen behind h
    for gram in p:
        known[gram[:-1]] += p[gram[1:]] if len(gram) > 1 else 0
    left = {h: kinds[h] / (times[h] + kinds[h]) / max(1 - known[h], 1e-9) for h in kinds if h}
    return {**p, ("<s>",): 1e-99}, left
