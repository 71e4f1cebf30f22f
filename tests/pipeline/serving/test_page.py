"""The page: what it shows in a real browser, and what its server refuses."""

import csv
import http.client
import json
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any

import exports
import numpy as np
import pytest
from browser import rendered
from exports import Export

from pipeline.core.errors import UserError
from pipeline.serving import page
from pipeline.serving.scorer import Scorer

ATTACK = "<img src=x onerror=\"document.title='owned'\"> & <b>cat</b>"


def predictions(path: Path, label_names: tuple[str, ...] = exports.TWO) -> Path:
    """A file as ``evaluate`` writes it: 30 questions, each with two passages."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            [
                *("test", "text_a", "text_b", "label", "teachers"),
                *(f"teachers_{name}" for name in label_names),
            ],
        )
        writer.writeheader()
        for number in range(60):
            question = f"which\ncat {number // 2}?" if number > 1 else f"which {ATTACK}?"
            writer.writerow(
                {
                    "test": "qa",
                    "text_a": question,
                    "text_b": f"passage {number} of {ATTACK}\nred horse",
                    "label": label_names[number % 2],
                    "teachers": label_names[number % 2],
                    **{
                        f"teachers_{name}": 0.75 if i == number % 2 else 0.25
                        for i, name in enumerate(label_names)
                    },
                }
            )
    return path


@contextmanager
def serving(made: Export, examples: list[page.Example]) -> Iterator[int]:
    """The port of a server of the page."""
    with page.server_at(0, Scorer(made.directory), examples) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_port)
        finally:
            server.shutdown()
            thread.join()


def send(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(page.ADDRESS, port, timeout=20)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    given = {
        "Content-Type": "application/json",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    connection.request(method, path, content, given)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    is_json = answer.getheader("Content-Type") == "application/json"
    return answer.status, json.loads(text) if is_json else text.decode()


def test_examples_are_questions_with_their_passages_and_some_of_others(tmp_path: Path) -> None:
    found = page.read_examples(predictions(tmp_path / "p.csv"), exports.TWO)
    assert len(found) == page.EXAMPLES
    for number, example in enumerate(found):
        own, others = example["passages"][:2], example["passages"][2:]
        assert [one["label"] for one in own] == list(exports.TWO)
        # The teachers' class has 0.75: that is 0.25 for the second class if it is the first.
        assert [one["teachers"] for one in own] == [0.25, 0.75]
        assert own[0]["text"].startswith(f"passage {2 * number} ")
        assert all(one["teachers"] is None and one["label"] == "" for one in others)
        assert len({one["text"] for one in example["passages"]}) == page.PASSAGES
    assert page.read_examples(tmp_path / "missing.csv", exports.TWO) == []
    damaged = tmp_path / "damaged.csv"
    for old, new in ((",0.75", ",nan"), ("relevant,0.75", "other,0.75"), ("text_a", "x")):
        damaged.write_text((tmp_path / "p.csv").read_text().replace(old, new))
        with pytest.raises(UserError, match=r"damaged\.csv is damaged .*: run `dvc repro -f eval"):
            page.read_examples(damaged, exports.TWO)


def test_the_page_in_a_browser_ranks_an_example(exported: Export, tmp_path: Path) -> None:
    examples = page.read_examples(predictions(tmp_path / "p.csv"), exports.TWO)
    with serving(exported, examples) as port:
        shown = rendered(f"http://{page.ADDRESS}:{port}/", "--window-size=400,900")
    # What people type is text, not elements.
    assert "<title>Try the student</title>" in shown
    assert "<img" not in shown
    assert "<b>" not in shown
    results = unescape(shown.split('<ol id="results">')[1])
    items = results.split("<li")[1:]
    question = examples[0]["question"]
    passages = [one["text"].replace("\n", " ") for one in examples[0]["passages"]]
    ranking = Scorer(exported.directory).rank(question, passages)
    assert len(items) == len(ranking) == page.PASSAGES
    for item, (position, score) in zip(items, ranking, strict=True):
        assert f">{score:.3f}<" in item
        assert passages[position] in item
        teachers = examples[0]["passages"][position]["teachers"]
        assert (f"teachers' mean {teachers:.3f}" in item) if teachers else ("teachers" not in item)
    assert 'passages, ranked by the probability of "relevant"' in unescape(shown)


def test_the_page_without_examples_and_with_three_classes(exported_nli: Export) -> None:
    names = ("entailment", "neutral", "contradiction")
    example = {
        "question": "red cat",
        "passages": [{"text": "horse", "label": "neutral", "teachers": "neutral"}],
    }
    with serving(exported_nli, [example]) as port:
        shown = unescape(rendered(f"http://{page.ADDRESS}:{port}/"))
    best = int(exported_nli.expected([("red cat", "horse")]).argmax())
    assert f'class="score">{names[best]}<' in shown
    assert "gold label neutral" in shown
    with serving(exported_nli, []) as port:
        shown = rendered(f"http://{page.ADDRESS}:{port}/")
    assert 'id="choose" hidden' in shown
    assert '<ol id="results"></ol>' in shown


def test_scores_are_those_of_the_student(exported: Export) -> None:
    pairs = [("which cat", passage) for _, passage in exports.pairs_of(20, 5)]
    with serving(exported, []) as port:
        body = {"question": "which cat", "passages": [passage for _, passage in pairs]}
        status, content = send(port, "POST", "/score", body)
    assert status == 200
    found = np.array(content["probabilities"])
    assert np.abs(found - exported.expected(pairs).numpy()).max() < 1e-5
    assert content["milliseconds"] > 0


GOOD = {"question": "a", "passages": ["b"]}
REFUSED: dict[str, tuple[str, str, Any, dict[str, str], int]] = {
    "another path": ("GET", "/../../etc/passwd", None, {}, 404),
    "another path to post to": ("POST", "/", GOOD, {}, 404),
    "too much": ("POST", "/score", b"[" * (page.LARGEST_BODY + 1), {}, 413),
    "more than fits into buffers": ("POST", "/score", b"[" * (64 * page.LARGEST_BODY), {}, 413),
    "an announced terabyte": ("POST", "/score", b"", {"Content_Length": "1000000000000"}, 413),
    "a length that is none": ("POST", "/score", b"{}", {"Content_Length": "-5"}, 411),
    "the form of another site": ("POST", "/score", GOOD, {"Content_Type": "text/plain"}, 415),
    "a length of many digits": ("POST", "/score", b"{}", {"Content_Length": "9" * 5000}, 413),
    "too many passages": ("POST", "/score", {"question": "a", "passages": ["b"] * 1001}, {}, 400),
    "the name of another site": ("POST", "/score", GOOD, {"Host": "example.com:80"}, 403),
    "another port": ("POST", "/score", GOOD, {"Host": "localhost:1"}, 403),
    "the page by another name": ("GET", "/", None, {"Host": "example.com"}, 403),
    "no JSON": ("POST", "/score", b"{", {}, 400),
    "deep JSON": ("POST", "/score", b"[" * 100_000, {}, 400),
    "no question": ("POST", "/score", {"passages": ["b"]}, {}, 400),
    "no passages": ("POST", "/score", {"question": "a", "passages": []}, {}, 400),
    "a passage that is a text": ("POST", "/score", {"question": "a", "passages": "b"}, {}, 400),
    "a number": ("POST", "/score", {"question": 1, "passages": ["b"]}, {}, 400),
    "half of a character": ("POST", "/score", {"question": "\ud800", "passages": ["b"]}, {}, 400),
    "a list": ("POST", "/score", [], {}, 400),
}


def test_what_does_not_fit_is_refused_and_the_server_goes_on(exported: Export) -> None:
    with serving(exported, []) as port:
        for name, (method, path, body, headers, expected) in REFUSED.items():
            status, content = send(port, method, path, body, **headers)
            assert status == expected, name
            assert isinstance(content["error"], str), name
        assert send(port, "POST", "/score", GOOD)[0] == 200
        assert send(port, "POST", "/score", GOOD, Host=f"LOCALHOST:{port}")[0] == 200


def test_a_client_that_leaves_is_no_error(
    exported: Export, capfd: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps(GOOD)
    head = "POST /score HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n"
    with serving(exported, []) as port:
        for length in (len(body), len(body) + 50):
            with socket.create_connection((page.ADDRESS, port), timeout=20) as client:
                request = f"{head.format(port)}Content-Length: {length}\r\n\r\n{body}"
                client.sendall(request.encode())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.create_connection((page.ADDRESS, port), timeout=20) as client:
            # What follows a request is not another one, even if it looks like one.
            request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\n"
            client.sendall(f"{request}{request}".encode())
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        assert answer.count(b"HTTP/1.") == 1
        assert send(port, "POST", "/score", GOOD)[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_the_server_is_reached_from_this_machine_only(exported: Export) -> None:
    with page.server_at(0, Scorer(exported.directory), []) as server:
        assert server.server_address[0] == "127.0.0.1"


def test_nothing_is_loaded_from_elsewhere(exported: Export) -> None:
    with serving(exported, []) as port:
        connection = http.client.HTTPConnection(page.ADDRESS, port, timeout=20)
        for path in page.FILES:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == 200
            assert "default-src 'none'" in str(answer.getheader("Content-Security-Policy"))
            assert "//" not in text.replace("<!--", "")
        connection.close()


def test_a_port_that_is_taken_or_none_is_refused(exported: Export) -> None:
    own = Scorer(exported.directory)
    with (
        serving(exported, []) as port,
        pytest.raises(
            UserError, match=rf"port {port} of .* cannot be used .*: name another --port"
        ),
    ):
        page.serve(own, [], port)
    with pytest.raises(UserError, match="must be from 0 to 65535"):
        page.serve(own, [], 70_000)


def test_a_client_that_sends_a_byte_at_a_time_is_hung_up(
    exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "LONGEST_SECONDS", 0.5)
    with serving(exported, []) as port, socket.create_connection((page.ADDRESS, port)) as client:
        head = f"POST /score HTTP/1.1\r\nHost: {page.ADDRESS}:{port}\r\n"
        head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        client.sendall(head.encode())
        client.settimeout(5)
        assert client.recv(1) == b""


def test_many_clients_at_once_all_have_an_answer(exported: Export) -> None:
    with serving(exported, []) as port, ThreadPoolExecutor(200) as clients:
        answers = list(clients.map(lambda _: send(port, "GET", "/state")[0], range(200)))
    assert answers == [200] * 200
