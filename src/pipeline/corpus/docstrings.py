"""The embedded corpus: question-passage pairs from the docstrings of the pinned packages.

The first line of a docstring is the question and the prose below it the passage. Half of the pairs
keep their passage; the others get that of another function of the same package that shares words
with the question. Source files are parsed, never imported. The standard library is left out, so
that the corpus depends on the pinned packages only.
"""

import ast
import gc
import hashlib
import importlib.util
import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.core.rows import row_ids

LABEL_NAMES = ("irrelevant", "relevant")
PACKAGES = (
    "datasets",
    "fsspec",
    "huggingface_hub",
    "joblib",
    "matplotlib",
    "mpmath",
    "networkx",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "sympy",
    "torch",
)
SIZES = {"train": 1_800, "validation": 1_000, "pool": 4_000}
"""Documents of each split; all others are the test split."""
FORMER_SHARES = {"train": 0.15, "validation": 0.05, "test": 0.2, "pool": 0.6}
FORMER_ROWS = {"train": 1_000, "validation": 300, "test": 1_500, "pool": 4_000}
"""The splits that earlier settings were chosen with. The test split has none of their questions."""
FILES_AT_A_TIME = 32
PASSAGE_WORDS = 26
CANDIDATES = 3
"""Wrong passages drawn for a question; the most similar is taken. More make it harder."""
NEAR_DUPLICATE = 0.7
"""TF-IDF cosine above which two docstrings count as copies."""
COMPARED_TOGETHER = 256
HEADINGS = (
    "args|arguments|attributes|examples?|inputs?|keyword arguments|notes?|outputs?|parameters"
    "|raises|references|returns?|see also|shape|usage|warnings?|yields"
)
NOT_PROSE = re.compile(rf"\s|[-*|\[$>`.:]|\d+[.)]|({HEADINGS})\s*(:|\n|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Document:
    """One docstring: its package, first line and prose."""

    package: str
    question: str
    passage: str


@cache
def tables() -> dict[str, pa.Table]:
    """The pairs of every split: columns text_a (question), text_b (passage), label (int64).

    Question and passage of a docstring are in one split only; copies and near copies are dropped
    first. The test split has the docstrings whose questions were in no row when settings were
    chosen.
    """
    former: dict[str, list[Document]] = {split: [] for split in FORMER_SHARES}
    for document in distinct(documents(PACKAGES)):
        former[_former_split(document)].append(document)
    seen: list[Document] = []
    fresh: list[Document] = []
    for split, candidates in former.items():
        ordered = _ordered(candidates)
        # A split was capped to the rows with the lowest ids.
        by_id = np.argsort(row_ids(_pairs(ordered)), kind="stable")
        seen += [ordered[i] for i in by_id[: FORMER_ROWS[split]]]
        fresh += [ordered[i] for i in by_id[FORMER_ROWS[split] :]]
    seen = _ordered(seen)
    parts = {"test": fresh}
    for split, count in SIZES.items():
        parts[split], seen = seen[:count], seen[count:]
    return {split: _pairs(documents) for split, documents in parts.items()}


def documents(packages: Sequence[str]) -> list[Document]:
    """The docstrings of installed packages that have prose, in the order of their files."""
    files = [(package, path) for package in packages for path in _sources(package)]
    # Trees of source are freed without the collector of cycles, which would search them all.
    with ProcessPoolExecutor(initializer=gc.disable) as pool:
        per_file = pool.map(_documents_in, *zip(*files, strict=True), chunksize=FILES_AT_A_TIME)
        return [document for documents in per_file for document in documents]


def _sources(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"the docs corpus reads the docstrings of '{package}', which is not installed: "
            "run `make install`."
        )
    root = Path(next(iter(spec.submodule_search_locations)))
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        if not {"test", "tests", "testing"} & set(path.relative_to(root).parts):
            yield path


def _documents_in(package: str, path: Path) -> list[Document]:
    source = path.read_text(encoding="utf-8")
    if '"""' not in source:
        return []
    try:
        tree = ast.parse(source)
    except SyntaxError:  # written for a newer Python
        return []
    documents = (_document(package, docstring) for docstring in _docstrings(tree))
    return [document for document in documents if document]


def _docstrings(node: ast.AST) -> Iterator[str]:
    """The docstrings of all functions and classes below ``node``, in the order of the source."""
    # Only statements are visited; the expressions in them are many times more.
    for child in getattr(node, "body", ()):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield ast.get_docstring(child) or ""
        yield from _docstrings(child)


def _document(package: str, docstring: str) -> Document | None:
    """Question and passage of a docstring, or None if there is no prose below its first line."""
    start, *rest = re.split(r"\n\s*\n", docstring.strip())
    prose = []
    for paragraph in rest:
        if NOT_PROSE.match(paragraph) or re.search(r"\n\s*[-=~]{3,}", paragraph):
            break
        prose.append(_plain(paragraph))
    question = _plain(start)
    passage = " ".join(" ".join(prose).split()[:PASSAGE_WORDS])
    if 4 <= len(question.split()) <= 20 and len(passage.split()) >= 10:
        return Document(package, question, passage)
    return None


def _plain(text: str) -> str:
    """Text without reStructuredText roles and quotes, on one line."""
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text)
    return " ".join(re.sub(r"[`*]", "", text).split())


def distinct(documents: list[Document]) -> list[Document]:
    """The documents without those that share question, passage or most words with earlier ones."""
    kept: list[Document] = []
    seen: set[str] = set()
    for document in documents:
        keys = {_words(document.question), _words(document.passage)}
        if not keys & seen:
            kept.append(document)
        seen |= keys
    # Imported here, because most corpora do not need them.
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [f"{document.question} {document.passage}" for document in kept]
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform(texts)
    copies: set[int] = set()
    # In pieces, because all pairs together would take gigabytes.
    for start in range(0, len(kept), COMPARED_TOGETHER):
        similar = (vectors[start : start + COMPARED_TOGETHER] @ vectors[start:].T).tocoo()
        is_copy = (similar.data > NEAR_DUPLICATE) & (similar.col > similar.row)
        copies |= set((start + similar.col[is_copy]).tolist())
    return [document for i, document in enumerate(kept) if i not in copies]


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def _number(*parts: str) -> int:
    """A number in [0, 2^64) that depends only on the texts."""
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "big")


def _former_split(document: Document) -> str:
    place = _number("split", document.question, document.passage) / 2**64
    for split, share in FORMER_SHARES.items():
        place -= share
        if place < 0:
            return split
    return split


def _ordered(documents: list[Document]) -> list[Document]:
    """The documents in an order that depends on each of them only: that of a hash."""
    return sorted(documents, key=lambda d: _number("order", d.question, d.passage))


def _pairs(documents: list[Document]) -> pa.Table:
    """One row per document, ordered by a hash; every second one gets a wrong passage."""
    documents = _ordered(documents)
    packages: dict[str, list[Document]] = defaultdict(list)
    for document in documents:
        packages[document.package].append(document)
    answers = [
        _wrong_answer(document, packages[document.package]) if i % 2 else document
        for i, document in enumerate(documents)
    ]
    labels = [int(answer is document) for answer, document in zip(answers, documents, strict=True)]
    return pa.table(
        {
            "text_a": [document.question for document in documents],
            "text_b": [answer.passage for answer in answers],
            "label": pa.array(labels, pa.int64()),
        }
    )


def _wrong_answer(document: Document, package: list[Document]) -> Document:
    """Of some other documents, the one whose passage shares most words with the question.

    Shared words are divided by the square root of the number of words in the passage. A document
    that is alone in its package stays itself.
    """
    generator = random.Random(_number("rival", document.question))
    drawn = generator.sample(package, min(CANDIDATES + 1, len(package)))
    others = [other for other in drawn if other is not document][:CANDIDATES]
    question = _content(document.question)

    def similarity(other: Document) -> float:
        passage = _content(other.passage)
        return len(question & passage) / (1 + math.sqrt(len(passage)))

    return max(others or [document], key=similarity)


def _content(text: str) -> set[str]:
    return {word for word in _words(text).split() if len(word) > 3}
