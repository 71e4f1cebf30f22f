"""More pairs for the pool from its own texts, which teachers score without a label."""

import numpy as np
import pyarrow as pa

SCHEMA = pa.schema([("text_a", pa.string()), ("text_b", pa.string())])
WORDS_AND_SIGNS = r"\w+|[^\w\s]"
SIMILARITIES = 4_000_000
"""How many are in memory at a time, in 8 bytes each."""


def recombine(pairs: pa.Table, count: int) -> pa.Table:
    """Put each different ``text_a`` beside the ``count`` most similar ``text_b`` of other pairs.

    ``pairs`` has the columns text_a and text_b, of type string, as the result has. Similarity is
    the cosine of TF-IDF vectors. A ``text_b`` without a common word, or that is the same text, is
    not used; of equally similar ones, the first are. The time grows with the number of different
    ``text_a`` times that of different ``text_b``.
    """
    # Imported here, because every stage imports this module to check settings.
    from sklearn.feature_extraction.text import TfidfVectorizer

    columns = [pairs[name].to_pylist() for name in ("text_a", "text_b")]
    texts_a, texts_b = (list(dict.fromkeys(column)) for column in columns)
    position_of = {text: position for position, text in enumerate(texts_b)}
    not_new = {text: {text} & position_of.keys() for text in texts_a}
    for text_a, text_b in zip(*columns, strict=True):
        not_new[text_a].add(text_b)
    # By default, words of one letter are left out, and a text may have no others.
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=WORDS_AND_SIGNS)
    vectorizer.fit(texts_a + texts_b)
    vectors_a, vectors_b = vectorizer.transform(texts_a), vectorizer.transform(texts_b)
    new_a: list[str] = []
    new_b: list[str] = []
    step = max(1, SIMILARITIES // len(texts_b))
    for start in range(0, len(texts_a), step):
        similarities = (vectors_a[start : start + step] @ vectors_b.T).toarray()
        for text_a, row in zip(texts_a[start : start + step], similarities, strict=True):
            row[[position_of[text] for text in not_new[text_a]]] = 0
            # Sorting all of them would take longer.
            least = np.partition(row, -count)[-count] if count < len(row) else 0
            similar = np.flatnonzero((row >= least) & (row > 0))
            nearest = similar[np.argsort(-row[similar], kind="stable")][:count]
            new_a += [text_a] * len(nearest)
            new_b += [texts_b[position] for position in nearest]
    return pa.table({"text_a": new_a, "text_b": new_b}, schema=SCHEMA)
