"""A ``python`` that starts in no time, because a server has imported the large libraries already.

Most of a tiny stage is the import of torch and transformers. The server imports them once and forks
a process for each script; the library under test is imported by that process itself. `directory`
holds a command ``python`` that sends its arguments, directory, environment and streams to the
server. Tests that kill a stage, or set variables that the libraries read on import, use the real
interpreter instead.
"""

import atexit
import importlib
import json
import os
import runpy
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path

LIBRARIES = (
    *("accelerate", "datasets", "psutil", "pydantic", "rich.progress", "scipy.stats"),
    *("sklearn.feature_extraction.text", "torch", "transformers.models.bert.modeling_bert"),
)
CLIENT = """\
#!{python} -ISs
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    status = server.recv(1)
sys.exit(status[0] if status else 137)
"""


@cache
def directory() -> Path:
    """The directory of the command ``python``; the first call starts the server."""
    place = Path(tempfile.mkdtemp(prefix="preloaded-"))
    address = str(place / "socket")
    command = place / "python"
    command.write_text(CLIENT.format(python=sys.executable, address=address))
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdout=subprocess.PIPE, env=environment
    )
    atexit.register(shutil.rmtree, place)
    atexit.register(server.kill)
    assert server.stdout
    assert server.stdout.readline() == b"ready\n"
    return place


def serve(address: str) -> None:
    # Forking is safe only without threads; these libraries start theirs when they are first used.
    for name in LIBRARIES:
        importlib.import_module(name)
    # transformers imports its parts when they are first looked up.
    assert importlib.import_module("transformers").AutoModel
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                client.sendall(bytes([run(client)]))
                os._exit(0)
            client.close()


def run(client: socket.socket) -> int:
    """Run the script that a client asks for, and return its exit status."""
    size, streams, *_ = socket.recv_fds(client, 4, 3)
    request = b""
    while len(request) < int.from_bytes(size, "big"):
        request += client.recv(1 << 16)
    arguments, cwd, environment = json.loads(request)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    # Absolute, because processes that it spawns look for it from where the server has started.
    script = Path(arguments[0]).resolve()
    sys.path[0] = str(script.parent)
    status: object = 0
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


if __name__ == "__main__":
    serve(sys.argv[1])
