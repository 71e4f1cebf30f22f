"""Which library files a stage script imports, found by reading the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src"
LIBRARY = SOURCE / "pipeline"
PACKAGES = ("pipeline", "study")
NEVER_CHANGES_WHAT_IS_MADE = {"console.py", "preflight.py"}


def imported(path: Path) -> set[Path]:
    """The library files that ``path`` imports itself."""
    names: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            package, _, module = (node.module or "").partition(".")
            if package in PACKAGES:
                found = [module] if module else [alias.name for alias in node.names]
                names |= {(package, name) for name in found}
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith(PACKAGES) for alias in node.names), path
    return {SOURCE / package / f"{name}.py" for package, name in names}


def closure(script: Path) -> set[str]:
    """Paths, relative to the root, of all code that decides what ``script`` makes."""
    found, waiting = set(), {script}
    while waiting:
        path = waiting.pop()
        found.add(path)
        exempt = path.name in NEVER_CHANGES_WHAT_IS_MADE
        waiting |= set() if exempt else imported(path) - found
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if path.name not in NEVER_CHANGES_WHAT_IS_MADE
    }
