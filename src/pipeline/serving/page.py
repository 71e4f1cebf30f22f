"""A page on this machine on which to try an exported student; it needs no network."""

import csv
import json
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Timer
from time import perf_counter
from typing import Any, ClassVar

from pipeline.core.errors import UserError, explained
from pipeline.corpus.delimited import LONGEST_FIELD
from pipeline.serving.scorer import Scorer

ADDRESS = "127.0.0.1"
"""Only this machine can connect."""
LARGEST_BODY = 1 << 20
"""In bytes."""
MOST_PASSAGES = 1_000
"""That are scored at once."""
SECONDS = 10.0
"""How long a client may take to send more of what it has announced."""
LONGEST_SECONDS = 60.0
"""How long a connection may take; to score 1,000 passages takes a few seconds."""
EXAMPLES, PASSAGES = 20, 6
FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
"""The files of the page, by path."""
HEADERS = {
    # Nothing is loaded from elsewhere, and what is typed cannot become code.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Example = dict[str, Any]


def read_examples(predictions: Path, label_names: Sequence[str]) -> list[Example]:
    """Questions of the test rows in ``predictions``, if there are any, with some passages.

    Each passage has its gold label and, where the teachers have scored it, the probability that
    they give to the last class. Passages of other questions fill up the list.
    """
    if not predictions.exists():
        return []
    csv.field_size_limit(LONGEST_FIELD)
    by_question: dict[str, list[Example]] = {}
    with (
        explained(f"{predictions} is damaged", "run `dvc repro -f evaluate`, or `dvc pull`"),
        predictions.open(encoding="utf-8", newline="") as file,
    ):
        for line in csv.DictReader(file):
            probability = float(line[f"teachers_{label_names[-1]}"])
            if not 0 <= probability <= 1 or line["teachers"] not in label_names:
                raise ValueError("it has predictions of other classes")
            question = _as_line(line["text_a"])
            passage = {
                "text": _as_line(line["text_b"]),
                "label": line["label"],
                "teachers": probability if len(label_names) == 2 else line["teachers"],
            }
            if question not in by_question and len(by_question) > EXAMPLES:
                break
            by_question.setdefault(question, []).append(passage)
    examples = []
    others = [
        {"text": passage["text"], "label": "", "teachers": None}
        for own in by_question.values()
        for passage in own
    ]
    for number, (question, own) in enumerate(list(by_question.items())[:EXAMPLES]):
        texts = {passage["text"] for passage in own}
        more = {
            one["text"]: one for one in others[number * 2 :] + others if one["text"] not in texts
        }
        examples.append(
            {"question": question, "passages": [*own, *more.values()][: max(PASSAGES, len(own))]}
        )
    return examples


def _as_line(text: str) -> str:
    """A text as it can be typed into the form."""
    return " ".join(text.split())


def serve(scorer: Scorer, examples: list[Example], port: int) -> None:
    """Serve the page until the process is interrupted. Raises UserError if the port is taken."""
    try:
        server = server_at(port, scorer, examples)
    except OverflowError:
        raise UserError(f"--port is {port}, but must be from 0 to 65535.") from None
    except OSError as error:
        raise UserError(
            f"port {port} of {ADDRESS} cannot be used ({error.strerror}): name another --port."
        ) from None
    with server:
        print(f"http://{ADDRESS}:{server.server_port} - Ctrl-C ends it", flush=True)
        server.serve_forever()


def server_at(port: int, scorer: Scorer, examples: list[Example]) -> ThreadingHTTPServer:
    """A server of the page at ``port``, or at any free one if that is 0."""

    # One at a time uses all cores.
    lock = Lock()

    class Handler(_Handler):
        state: ClassVar = {"labels": scorer.label_names, "examples": examples}

        def score(self, question: str, passages: list[str]) -> dict[str, Any]:
            with lock:
                started = perf_counter()
                probabilities = scorer.probabilities([(question, one) for one in passages])
                seconds = perf_counter() - started
            return {"probabilities": probabilities.tolist(), "milliseconds": 1000 * seconds}

    return _Server((ADDRESS, port), Handler)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Connections that wait to be accepted; by default, of more than five some get no answer.
    request_queue_size = 512

    def shutdown_request(self, request: Any) -> None:
        # A client that is refused may still be sending; if the connection closed now, it would
        # not get the answer. What it sends is discarded, for as long as it may take to send.
        deadline = perf_counter() + SECONDS
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            while request.recv(1 << 16) and perf_counter() < deadline:
                pass
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A browser may leave before it has its answer.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS
    server_version = "pipeline"
    sys_version = ""
    state: ClassVar[dict[str, Any]]

    def handle(self) -> None:
        # The timeout is that of each read; a client may send a byte just before each.
        whole = Timer(LONGEST_SECONDS, self._hang_up)
        whole.daemon = True
        whole.start()
        try:
            super().handle()
        finally:
            whole.cancel()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def score(self, question: str, passages: list[str]) -> dict[str, Any]:
        raise NotImplementedError

    def do_GET(self) -> None:
        if not self._is_addressed():
            return
        if self.path in FILES:
            name, kind = FILES[self.path]
            self._answer(HTTPStatus.OK, Path(__file__).with_name(name).read_bytes(), kind)
        elif self.path == "/state":
            self._answer_json(HTTPStatus.OK, self.state)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        if not self._is_addressed():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "the length of the body is missing")
        elif len(length) > 9 or int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus(413), f"at most {LARGEST_BODY:,} bytes, please")
        elif self.path != "/score":
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        # Other sites cannot send this type without asking first, which is never granted.
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        elif len(body := self.rfile.read(int(length))) == int(length):
            self._score(body)

    def _score(self, body: bytes) -> None:
        try:
            given = json.loads(body)
            question, passages = given["question"], given["passages"]
            texts = [question, *passages]
            valid = isinstance(passages, list) and all(isinstance(text, str) for text in texts)
            # Half of a character is no text.
            "".join(texts).encode()
        except (ValueError, KeyError, TypeError, RecursionError):
            valid = False
        if not valid or not 1 <= len(passages) <= MOST_PASSAGES:
            expected = f"send a question and 1 to {MOST_PASSAGES:,} passages"
            self._refuse(HTTPStatus.BAD_REQUEST, expected)
        else:
            self._answer_json(HTTPStatus.OK, self.score(question, passages))

    def _is_addressed(self) -> bool:
        """Whether the request names this machine; other names may be those of another site."""
        port = self.connection.getsockname()[1]
        own = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
        if port == 80:
            own |= {ADDRESS, "localhost"}
        if self.headers.get("Host", "").lower() in own:
            return True
        self._refuse(HTTPStatus.FORBIDDEN, f"use http://{ADDRESS}:{port}")
        return False

    def _refuse(self, status: HTTPStatus, sentence: str) -> None:
        self._answer_json(status, {"error": sentence})

    def _answer_json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._answer(status, json.dumps(content).encode(), "application/json")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of requests that went well."""

    def log_error(self, format: str, *args: Any) -> None:
        print(f"{self.address_string()}: {format % args}", file=sys.stderr)
