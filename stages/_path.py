"""Put this checkout's ``src`` first, so that a queued experiment runs its own copy of the code."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C during the imports that follow ends the process at once, without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
