import pytest

from pipeline import console
from pipeline.core.errors import UserError


def test_a_stage_closes_with_its_sentence_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    console.run(lambda: "made [3] rows")
    assert capsys.readouterr().out == "made [3] rows (0 s)\n"


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (UserError("params.yaml: 'x[0]' is wrong."), "error: params.yaml: 'x[0]' is wrong.\n", 1),
        (
            OSError("No space left"),
            "error: No space left. Fix the cause and run the command again.\n",
            1,
        ),
        (KeyboardInterrupt(), "Stopped. Run the command again.\n", 130),
    ],
)
def test_an_error_that_the_user_can_fix_ends_in_one_sentence(
    error: BaseException, said: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage() -> str:
        raise error

    with pytest.raises(SystemExit) as exit_:
        console.run(stage)
    assert exit_.value.code == status
    assert capsys.readouterr().err == said


def test_only_a_stage_that_resumes_promises_a_checkpoint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stage() -> str:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        console.run(stage, resumes=True)
    assert "resume from the last checkpoint, if there is one" in capsys.readouterr().err


def test_missing_arguments_end_in_a_usage_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stages/dump_logits.py", "general"])
    with pytest.raises(SystemExit, match=r"usage: python stages/dump_logits.py PLACE TEACHER"):
        console.arguments("PLACE", "TEACHER")
    assert console.arguments("PLACE") == ["general"]
    monkeypatch.setattr("sys.argv", ["stages/average_logits.py", "foo"])
    with pytest.raises(SystemExit, match=r"usage: python stages/average_logits\.py general"):
        console.arguments("general|task")
    assert console.arguments("foo|task") == ["foo"]


def test_a_bug_keeps_its_traceback() -> None:
    def stage() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        console.run(stage)


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "PLAIN_SECONDS", 0.0)
    monkeypatch.setattr("time.monotonic", iter(range(0, 1000, 2)).__next__)
    with console.progress("stage 1", 40, "rows", start=20) as advance:
        advance(10)
        advance(10)
    assert capsys.readouterr().out == "stage 1: 30/40 rows, 5.0/s, 2 s left\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_durations_are_in_minutes_and_seconds(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text
