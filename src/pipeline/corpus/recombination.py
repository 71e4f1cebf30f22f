"""More pairs for the pool from its own texts, which teachers score without a label."""

from collections import defaultdict
from itertools import islice

import pyarrow as pa
from sklearn import config_context
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

WORDS_AND_SIGNS = r"\w+|[^\w\s]"


def recombine(pairs: pa.Table, count: int) -> pa.Table:
    """Put each different ``text_a`` beside the ``count`` most similar ``text_b`` of other pairs.

    ``pairs`` has the columns text_a and text_b, of type string, as the result has. Similarity is
    the cosine of TF-IDF vectors. The time grows with the number of different ``text_a`` times that
    of different ``text_b``.
    """
    own: defaultdict[str, set[str]] = defaultdict(set)
    for text_a, text_b in zip(*(column.to_pylist() for column in pairs.columns), strict=True):
        own[text_a].add(text_b)
    texts_a, texts_b = list(own), list(dict.fromkeys(pairs["text_b"].to_pylist()))
    # By default, words of one letter are left out, and a text may have no others.
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORDS_AND_SIGNS)
    vectorizer.fit(texts_a + texts_b)
    most = count + max(len(of_text_a) for of_text_a in own.values())
    search = NearestNeighbors(n_neighbors=min(most, len(texts_b)), metric="cosine")
    search.fit(vectorizer.transform(texts_b))
    with config_context(working_memory=64):  # MiB, instead of 1,024
        nearest = search.kneighbors(vectorizer.transform(texts_a), return_distance=False)
    new_a: list[str] = []
    new_b: list[str] = []
    for text_a, positions in zip(texts_a, nearest, strict=True):
        others = (texts_b[i] for i in positions if texts_b[i] not in own[text_a])
        chosen = list(islice(others, count))
        new_a += [text_a] * len(chosen)
        new_b += chosen
    return pa.table(
        {"text_a": pa.array(new_a, pa.string()), "text_b": pa.array(new_b, pa.string())}
    )
