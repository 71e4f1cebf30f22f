from pathlib import Path

import pytest
import torch

from pipeline.core import tensors

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "step": torch.tensor(7.0),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "none": torch.empty(0, 2),
}
NOTES = {"step": 3, "sums": [1.5, 2], "name": "é"}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.safetensors"
    assert tensors.read(path) is None
    tensors.write(path, TENSORS, NOTES)
    saved = tensors.read(path)
    assert saved
    assert saved[1] == NOTES
    assert saved[0].keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert saved[0][name].dtype == tensor.dtype
        torch.testing.assert_close(saved[0][name], tensor, rtol=0, atol=0)


def test_a_flip_of_any_bit_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In any byte of the file: its length, its header, its notes, its checksum, its tensors."""
    path = tmp_path / "file.safetensors"
    tensors.write(path, TENSORS, NOTES)
    whole = path.read_bytes()
    accepted = []
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        if saved := tensors.take(path):
            same = all(torch.equal(saved[0][name], tensor) for name, tensor in TENSORS.items())
            accepted.append((same, saved[0].keys() == TENSORS.keys(), saved[1] == NOTES))
        else:
            assert not path.exists()
    # Blanks in the header may change without a change of what it says.
    assert set(accepted) <= {(True, True, True)}
    assert len(accepted) < 8
    assert f"{path} is damaged: it is deleted, and what it held" in capsys.readouterr().out


def test_what_cannot_be_opened_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    (path / "deep").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        tensors.take(path)
    assert (path / "deep").exists()


def test_reading_alone_deletes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_text("of another program")
    assert tensors.read(path) is None
    assert path.exists()


@pytest.mark.parametrize("length", [0, 1, 8, 100])
def test_a_part_of_a_file_counts_as_none(length: int, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    tensors.write(path, TENSORS, NOTES)
    path.write_bytes(path.read_bytes()[:length])
    assert tensors.take(path) is None
    assert not path.exists()
