"""Put this checkout's ``src`` first, so that a queued experiment runs its own copy of the code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
