"""A page as a person sees it, in Chromium or Chrome."""

import os
import shutil
import subprocess
import tempfile

import pytest


def rendered(address: str, *options: str) -> str:
    """The elements of a page after its scripts have run, in a browser that reaches nothing else.

    ``address`` is that of a file or of a server on this machine.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        # CI installs it, so that there the test fails.
        end = pytest.fail if "CI" in os.environ else pytest.skip
        end("needs Chromium or Chrome on the PATH, such as `apt-get install chromium`")
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
                *(f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom"),
                *(*options, address),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=True,
        )
    return done.stdout
