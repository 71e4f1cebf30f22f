"""``python -m pipeline``: rank passages and predict labels with an exported student.

It imports nothing but onnxruntime, tokenizers and numpy, so that it starts at once and runs where
PyTorch is not installed.
"""

import argparse
import io
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.serving import pairs, predictions
from pipeline.serving.scorer import EXPORTED, Scorer

PORT = 8765
PREDICTIONS = Path("data/predictions.csv")
"""Where ``evaluate`` writes what student and teachers predict for the test rows."""
REPORT_SECONDS = 10.0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors that the user can fix end in one sentence and status 1."""
    given = parser().parse_args(arguments)
    if sys.stdin is None or sys.stdout is None:
        _fail("error: standard input or output is closed: open it.", 1)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            # Whatever the settings of the terminal; line ends within quotes stay as they are.
            stream.reconfigure(encoding="utf-8-sig" if stream is sys.stdin else "utf-8", newline="")
    try:
        given.run(given)
        sys.stdout.flush()
    except UserError as error:
        _fail(f"error: {' '.join(str(error).split())}", 1)
    except BrokenPipeError:
        # Nobody reads the rest, as with `| head`. Python would complain when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _fail(f"error: {error}. Fix the cause and run the command again.", 1)
    except KeyboardInterrupt:
        _fail("Stopped.", 130)


def _fail(sentence: str, status: int) -> None:
    print(sentence, file=sys.stderr)
    sys.exit(status)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = argparse.ArgumentParser(prog="python -m pipeline", description=main.__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    rank = commands.add_parser("rank", help="sort the lines of a file by their score, best first")
    rank.add_argument("question")
    rank.add_argument("passages", help="a text file with one passage per line, or - for input")
    rank.add_argument("--top", type=_count, metavar="N", help="print only the N best")
    rank.set_defaults(run=_rank)
    predict = commands.add_parser("predict", help="add predictions to the pairs of a file")
    predict.add_argument("pairs", help="a .csv, .tsv, .jsonl or .parquet file, or - for CSV input")
    predict.add_argument("--output", default=pairs.STANDARD, metavar="FILE", help="default: print")
    predict.add_argument(
        "--columns",
        nargs=2,
        metavar=("A", "B"),
        help="columns of the texts; default: those of the student's corpus, or the only two",
    )
    predict.set_defaults(run=_predict)
    serve = commands.add_parser("page", help="show a page on this machine on which to try it")
    serve.add_argument("--port", type=int, default=PORT)
    serve.add_argument("--predictions", type=Path, default=PREDICTIONS, metavar="FILE")
    serve.set_defaults(run=_page)
    for command in (rank, predict, serve):
        command.add_argument("--model", type=Path, default=EXPORTED, metavar="DIRECTORY")
        command.add_argument("--int8", action="store_true", help="the smaller and faster file")
        command.add_argument("--threads", type=_count, metavar="N", help="default: all cores")
    return made


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a number above 0")
    return number


def _rank(given: argparse.Namespace) -> None:
    scorer = Scorer(given.model, int8=given.int8, threads=given.threads)
    question = pairs.text(given.question, "the question")
    passages = [line for text in pairs.lines(given.passages) if (line := text.strip())]
    if not passages:
        raise UserError(f"'{given.passages}' has no passages: write one per line.")
    for position, score in scorer.rank(question, passages)[: given.top]:
        print(f"{score:.4f}\t{passages[position]}")


def _predict(given: argparse.Namespace) -> None:
    scorer = Scorer(given.model, int8=given.int8, threads=given.threads, yielding=True)
    source = pairs.read(given.pairs)
    columns = pairs.text_columns(source, given.columns, scorer.text_columns)
    scores = [f"score_{name}" for name in scorer.label_names]
    if len(scorer.label_names) == 2:
        scores = ["score"]
    added = ["predicted", "probability", *scores]
    _refuse_taken(added, source, source.columns)
    print(f"{columns[0]} and {columns[1]} are the texts of a pair", file=sys.stderr)
    advance = _reporter(source.count)
    with predictions.writer(given.output, source, added) as write:
        number = 0
        for piece in pairs.pieces(source.rows):
            texts = [
                pairs.texts(source, row, number + i, columns) for i, row in enumerate(piece, 1)
            ]
            probabilities = scorer.probabilities(texts)
            chosen = probabilities.argmax(axis=1)
            for row, own, best in zip(piece, probabilities, chosen, strict=True):
                _refuse_taken(added, source, row)
                row["predicted"] = scorer.label_names[best]
                row["probability"] = round(float(own[best]), 6)
                values = own[1:] if len(own) == 2 else own
                row |= {
                    name: round(float(value), 6) for name, value in zip(scores, values, strict=True)
                }
            write(piece)
            number += len(piece)
            advance(len(piece))


def _refuse_taken(added: list[str], source: pairs.Source, columns: Iterable[str]) -> None:
    if taken := set(added).intersection(columns):
        raise UserError(f"'{source.name}' has a column '{min(taken)}' already: rename it there.")


def _page(given: argparse.Namespace) -> None:
    # The other commands start faster without a server.
    from pipeline.serving import page

    scorer = Scorer(given.model, int8=given.int8, threads=given.threads)
    page.serve(scorer, page.read_examples(given.predictions, scorer.label_names), given.port)


def _reporter(total: int | None) -> Callable[[int], None]:
    """A function to call with newly finished pairs, which says on standard error how it goes."""
    started = said = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        now = time.monotonic()
        if now - said >= REPORT_SECONDS:
            of = f" of {total:,}" if total is not None else ""
            rate = done / (now - started)
            print(f"{done:,}{of} pairs, {rate:,.0f}/s", file=sys.stderr)
            said = now

    return advance
