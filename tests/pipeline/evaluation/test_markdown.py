import pytest
from markdown_it import MarkdownIt

from pipeline.evaluation.markdown import escaped


@pytest.mark.parametrize(
    "name",
    ["relevant", "<script>alert(1)</script>", "![x](http://y)", "a | b", "`c` *d*", "# e &amp;"],
)
def test_a_name_is_shown_as_it_is(name: str) -> None:
    """As another library reads Markdown."""
    (inline,) = [one for one in MarkdownIt().parse(f"a {escaped(name)}") if one.type == "inline"]
    assert "".join(one.content for one in inline.children or []) == f"a {name}"
    assert {one.type for one in inline.children or []} <= {"text", "text_special"}
