"""Write the logits of one teacher for every row that its students will learn from."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline import console, logits
from pipeline.core import runtime
from pipeline.core.checkpoints import ROOT, run_identity
from pipeline.core.rows import Rows
from pipeline.core.weights import weights_hash
from pipeline.logits import Notes, TeacherIdentity
from pipeline.model import pair_model, text_fit
from pipeline.model.encoding import check_vocabulary, encode
from pipeline.model.inference import predict
from pipeline.model.sequence_classifier import load_teacher

CODE = (
    *("pipeline.core.processor", "pipeline.core.runtime", "pipeline.core.weights"),
    "pipeline.model",
    *("pipeline.logits", __name__),
)

PROBE = "What is a café's naïve 2nd question? It is — e.g. 東京 — an ANSWER: don't cut it!"


def dump(
    name: str,
    teacher: Path,
    splits: list[Rows],
    *,
    directory: Path,
    in_float32: bool = False,
) -> int:
    """Score ``splits`` with the teacher saved in ``teacher`` and write the logits artifact.

    It computes in float32 if ``in_float32``, else in the precision of this run. Returns the number
    of rows. Raises UserError if the teacher has other classes than labelled
    rows, if its tokenizer does not know the words of the rows, or if a logit is not finite.
    """
    model, tokenizer, card = load_teacher(teacher)
    for rows in splits:
        if rows.is_labelled:
            logits.check_classes(name, card.label_names, rows)
    identity = TeacherIdentity(
        name,
        weights_hash(teacher),
        tokenizer_hash(tokenizer),
        card.max_length,
        "float32" if in_float32 else runtime.tensor_type(),
        card.label_names,
    )
    for rows in splits:
        text_fit.say(tokenizer, rows, card.max_length)
    timed = encode(tokenizer, splits[-1], card.max_length, stop=logits.TIMED_ROWS)
    check_vocabulary(tokenizer, timed, splits[-1].name)
    notes = Notes(
        pair_model.parameters(model),
        model.encoder.config.to_diff_dict(),
        tuple(timed.lengths.tolist()),
        card.failed,
        card.still_falling,
        card.gold,
    )
    fingerprints = [rows.fingerprint for rows in splits]
    run = run_identity((identity, notes, fingerprints), code=CODE)
    parts = ROOT / "-".join(["dump_logits", *directory.parts[-3:]]) / run
    total = sum(len(rows) for rows in splits)
    finished = logits.finished_rows(parts, splits)
    if finished:
        console.say(f"logits of {name}: resumes from row {finished:,} of {total:,}.")
    with console.progress(f"logits of {name}", total, "rows", start=finished) as advance:
        # Of several processes, the others have scored about as many rows as this one.
        processes = runtime.accelerator().num_processes

        def score(rows: Rows, start: int, stop: int) -> Tensor:
            tokens = encode(tokenizer, rows, card.max_length, start=start, stop=stop)
            scores = predict(
                model,
                tokens,
                card.heads,
                advance=lambda count: advance(processes * count),
                in_float32=in_float32,
            )
            # A student that teaches has several heads.
            return scores.mean(dim=1)

        logits.write(directory, identity, splits, notes=notes, score=score, parts=parts)
    if runtime.is_main_process():
        shutil.rmtree(parts.parent)
    return total


def tokenizer_hash(tokenizer: Any) -> str:
    """A hash of the vocabulary and of the tokens of a probe pair.

    It depends on behaviour, not on files, so that a new release that writes the files differently
    does not change it.
    """
    vocabulary = sorted(tokenizer.get_vocab().items())
    own_words = " ".join([word for word, _ in vocabulary if word.isalpha()][:500])
    behaviour = repr((vocabulary, tokenizer(PROBE, own_words.title())["input_ids"]))
    return hashlib.sha256(behaviour.encode()).hexdigest()
