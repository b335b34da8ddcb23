"""A real daemon keeps to its own description, whatever it is sent."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

YAML = """
sources: {{demo: {{use: simulator, subscribe: [{{instruments: ["NSE:INFY"]}}]}}}}
sinks: {{archive: {{use: file, path: "out/{{date}}.jsonl"}}}}
state: {{dir: state}}
auth: {{keys: {{use: api_key}}}}
rate_limits: {{{limits}}}
control: {{listen: ["127.0.0.1:{port}"], auth: [keys]}}
"""
SETTINGS = """
[phases.coverage]
unexpected-methods = []
"""
"""Methods that the gate knows nothing of have no route; they have tests of their own."""
CLASSES = (
    "addresses", "administration", "breakers", "reads", "subscriptions", "tickets", "units", "webhooks"
)  # fmt: skip
NOT_TOLD = "positive_data_acceptance,unsupported_method"
"""A description cannot say that of two fields one has to be given, and what the gate refuses has no route."""


def free_port() -> int:
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    """Its address. It limits nobody."""
    port = free_port()
    limits = ", ".join(f"{name}: {{rate: 999999/second}}" for name in CLASSES)
    (tmp_path / "t.yaml").write_text(YAML.format(limits=limits, port=port))
    process = subprocess.Popen(
        [sys.executable, "-m", "tickerd", "run", "-c", "t.yaml"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "ready":
            break
    with (tmp_path / "log").open("w") as log:
        copying = subprocess.Popen(["cat"], stdin=process.stdout, stdout=log)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        assert process.wait(30) == 0
        copying.wait(10)
    process.stdout.close()


def get(address: str, path: str, key: str) -> Any:
    request = urllib.request.Request(f"{address}{path}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_no_request_gets_an_answer_that_is_not_described(daemon: str, tmp_path: Path) -> None:
    key = (tmp_path / "state" / "bootstrap.key").read_text().strip()
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    before = get(daemon, "/v1/status", key)["picture"]
    done = subprocess.run(
        [
            Path(sys.executable).with_name("st"), "run", f"{daemon}/openapi.json",
            "-H", f"Authorization: Bearer {key}",
            "--exclude-path", "/v1/events", "--exclude-path", "/v1/tap",
            "--exclude-checks", NOT_TOLD, "--max-examples", "25", "--seed", "1",
            "--phases", "examples,coverage,fuzzing", "--request-timeout", "20", "--no-color",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    failures = "\n".join(line[:300] for line in done.stdout.splitlines() if line.strip())
    assert done.returncode == 0, failures[-8000:]
    after = get(daemon, "/v1/status", key)["picture"]
    assert after["epoch"] == before["epoch"]
    assert after["totals"]["ticks"] > before["totals"]["ticks"]
    assert after["totals"]["gaps"] == before["totals"]["gaps"]
    errors = [
        line for line in (tmp_path / "log").read_text().splitlines() if '"event":"request failed"' in line
    ]
    assert errors == []
