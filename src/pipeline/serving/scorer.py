"""Score text pairs with an exported student: onnxruntime and tokenizers, without PyTorch."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from pipeline.core.errors import UserError, explained

EXPORTED = Path("models/export")
FLOAT32, INT8 = Path("onnx/model.onnx"), Path("onnx/model_quantized.onnx")
"""Where an exported student has its ONNX files, as Transformers.js looks for them."""
BATCH_SIZE = 32
SORTED_TOGETHER = 2_048
"""Pairs whose tokens are in memory at once, sorted by length before they become batches."""
REMEDY = "run `dvc repro export`, or name the directory of an exported student"
Pair = tuple[str, str]


class Scorer:
    """An exported student. Longer pairs than it was trained for lose the end of the longer text.

    >>> scorer = Scorer(Path("models/export"))
    >>> scorer.rank("which question?", ["a passage", "another one"])
    [(1, 0.93), (0, 0.07)]
    """

    label_names: tuple[str, ...]
    """The classes, in the order of ``probabilities``."""
    text_columns: tuple[str, ...] | None
    """What both texts are called in the corpus that the student learned its task from."""

    def __init__(
        self,
        directory: Path = EXPORTED,
        *,
        int8: bool = False,
        threads: int | None = None,
        yielding: bool = False,
    ) -> None:
        """Load the student in ``directory``, which runs on ``threads`` (None: all cores).

        Threads that wait for each other keep their cores busy, which is faster for single pairs.
        ``yielding`` threads leave them to other work on the machine, which otherwise slows down
        this work as well.

        Raises UserError if there is none, if it is damaged, or if ``int8`` was not shipped.
        """
        path = directory / (INT8 if int8 else FLOAT32)
        if not (directory / FLOAT32).exists():
            raise UserError(f"{directory} holds no exported student: {REMEDY}.")
        if not path.exists():
            raise UserError(
                f"{path} is missing, because int8 was too far from float32; {directory}/README.md "
                "says how far: use float32."
            )
        with explained(f"{directory} is damaged", REMEDY):
            config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
            self.label_names = tuple(str(name) for name in config["label_names"])
            columns = config.get("text_columns")
            if columns is not None and (
                not isinstance(columns, list)
                or len(set(map(str, columns))) != 2
                or not all(isinstance(column, str) for column in columns)
            ):
                raise ValueError(f"its text_columns are {columns!r}")
            self.text_columns = None if columns is None else tuple(columns)
            self._pad_id = int(config["pad_token_id"])
            self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
            self._tokenizer.no_padding()
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads or 0
            options.log_severity_level = 3
            if yielding:
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            self._inputs = {given.name for given in self._session.get_inputs()}
            # Of different lengths, so that one is padded.
            if not np.isfinite(self.logits([("a", "b"), ("a b c d", "e f g h")])).all():
                raise ValueError("its logits are not finite")

    @property
    def _outputs(self) -> int:
        return 1 if len(self.label_names) == 2 else len(self.label_names)

    def logits(self, pairs: Sequence[Pair]) -> np.ndarray:
        """Logits as CrossEncoder gives them: float32 of shape [pairs, classes], or [pairs, 1] for
        two classes, whose sigmoid is the probability of the second class.

        In int8, they depend slightly on the pairs that share a batch.
        """
        scores = np.empty((len(pairs), self._outputs), dtype=np.float32)
        for start in range(0, len(pairs), SORTED_TOGETHER):
            stop = start + SORTED_TOGETHER
            scores[start:stop] = self._logits(pairs[start:stop])
        return scores

    def _logits(self, pairs: Sequence[Pair]) -> np.ndarray:
        encodings = self._tokenizer.encode_batch(list(pairs))
        lengths = np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)
        scores = np.empty((len(pairs), self._outputs), dtype=np.float32)
        order = np.argsort(-lengths, kind="stable")
        for start in range(0, len(order), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            shape = (len(batch), int(lengths[batch].max()))
            inputs = {
                "input_ids": np.full(shape, self._pad_id, dtype=np.int64),
                "attention_mask": np.zeros(shape, dtype=np.int64),
                "token_type_ids": np.zeros(shape, dtype=np.int64),
            }
            for row, index in enumerate(batch):
                encoding = encodings[index]
                inputs["input_ids"][row, : len(encoding.ids)] = encoding.ids
                inputs["token_type_ids"][row, : len(encoding.ids)] = encoding.type_ids
                inputs["attention_mask"][row, : len(encoding.ids)] = 1
            taken = {name: values for name, values in inputs.items() if name in self._inputs}
            (given,) = self._session.run(["logits"], taken)
            if given.shape != (len(batch), self._outputs):
                raise ValueError("it does not give a logit for each of its classes")
            scores[batch] = given
        return scores

    def probabilities(self, pairs: Sequence[Pair]) -> np.ndarray:
        """The probability of each class, float32 of shape [pairs, classes]; rows sum to 1."""
        logits = self.logits(pairs).astype(np.float64)
        if self._outputs == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        return np.asarray(shares, dtype=np.float32)

    def rank(self, question: str, passages: Sequence[str]) -> list[tuple[int, float]]:
        """Position and score of each passage, best first; of equal ones, the earlier is first.

        The score is the probability of the second class. Raises UserError if there are more than
        two classes, which have no order.
        """
        if len(self.label_names) != 2:
            raise UserError(
                f"this student has the classes {', '.join(self.label_names)}, so that it cannot "
                "rank: use `predict`."
            )
        if not passages:
            return []
        scores = self.probabilities([(question, passage) for passage in passages])[:, 1]
        order = np.argsort(-scores, kind="stable")
        return [(int(position), float(scores[position])) for position in order]
