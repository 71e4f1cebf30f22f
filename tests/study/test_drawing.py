"""Pictures of the studies: failed seeds, and pages of any colour."""

from pathlib import Path

from matplotlib.image import imread

from study.drawing import GREY, picture, seeds


def test_a_failed_seed_is_a_cross_and_the_background_is_that_of_the_page(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("first.png", "second.png")]
    for path in paths:
        with picture(path, height=2) as axes:
            seeds(axes, 3, [0.8, 0.5], [False, True], across=True)
            axes.set_xlabel("accuracy")
    assert [line.get_marker() for line in axes.lines] == ["o", "x"]
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0.8, 3]], [[0.5, 3]]]
    pixels = imread(paths[0])
    assert pixels[0, 0, 3] == 0
    # Text has a colour that can be read on white and on black.
    assert axes.xaxis.label.get_color() == GREY
    assert paths[0].read_bytes() == paths[1].read_bytes()
