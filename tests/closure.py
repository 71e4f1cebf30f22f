"""Which library files a stage script imports, found by reading the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
LIBRARY = SOURCE / "pipeline"
NEVER_CHANGES_WHAT_IS_MADE = {LIBRARY / "console.py", LIBRARY / "preflight.py"}


def imported(path: Path) -> set[Path]:
    """The library files that ``path`` imports itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {file for node in ast.walk(tree) for file in _files(node)}


def _files(node: ast.AST) -> Iterator[Path]:
    if isinstance(node, ast.Import):
        assert not any(alias.name.startswith(("pipeline", "study")) for alias in node.names)
    if not isinstance(node, ast.ImportFrom) or not node.module:
        return
    base = SOURCE.joinpath(*node.module.split("."))
    if base.with_suffix(".py").exists():
        yield base.with_suffix(".py")
    elif base.is_dir():
        for alias in node.names:
            assert (base / f"{alias.name}.py").exists(), f"{node.module}.{alias.name}"
            yield base / f"{alias.name}.py"


def closure(script: Path) -> set[str]:
    """Paths, relative to the root, of all code that determines what ``script`` makes."""
    found: set[Path] = set()
    waiting = {script}
    while waiting:
        path = waiting.pop()
        found.add(path)
        if path not in NEVER_CHANGES_WHAT_IS_MADE:
            waiting |= imported(path) - found
    return {path.relative_to(ROOT).as_posix() for path in found - NEVER_CHANGES_WHAT_IS_MADE}
