"""A language model small enough to compute by hand."""

import pytest

ARPA = """\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.4\tcat\t-0.2

\\2-grams:
-0.1\t<s> cat
-0.3\tcat </s>

\\end\\
"""


@pytest.fixture(scope="session")
def arpa(tmp_path_factory):
    """Path of a bigram model of one word, in the ARPA format."""
    path = tmp_path_factory.mktemp("arpa") / "tiny.arpa"
    path.write_text(ARPA)
    return str(path)
