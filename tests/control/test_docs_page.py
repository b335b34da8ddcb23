"""The page that describes the API in a real, headless Chromium, over a real daemon."""

import html
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tickerd.control.routes import ROUTES
from tickerd.plugin import RATE_CLASSES

pytestmark = pytest.mark.full

YAML = """
sources: {{demo: {{use: simulator}}}}
state: {{dir: state}}
journal: off
auth: {{keys: {{use: api_key}}}}
control: {{listen: ["127.0.0.1:{port}"], auth: [keys]}}
"""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a daemon."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    (tmp_path / "t.yaml").write_text(YAML.format(port=port))
    command = [sys.executable, "-m", "tickerd", "run", "-c", "t.yaml"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if '"event":"ready"' in line)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_it_shows_every_route_with_scope_class_and_fields(address: str, tmp_path: Path, need: Any) -> None:
    chromium = shutil.which("chromium") or need("chromium-browser")
    done = subprocess.run(
        [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
            "--virtual-time-budget=20000", "--dump-dom", f"{address}/docs",
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    page = html.unescape(re.sub(r"<script>.*</script>", "", done.stdout, flags=re.DOTALL))
    assert "Shows and steers one tickerd" in page
    for route in ROUTES:
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        (part,) = re.findall(
            rf">{route.method}</span><code>{re.escape(path)}</code>(.*?)</details>", page, re.DOTALL
        )
        assert route.summary in part
        assert (
            f"scope: {route.scope or 'none'} · counted as: {route.rate} ({RATE_CLASSES[route.rate].rate}"
            in part
        )
        assert f"answers {route.status} {route.content_type}" in part
        assert "Try it" in part
        assert ("Idempotency-Key" in part) == route.changes
