"""Container files, checked as far as that goes without an engine."""

import os
import re
import shlex
import socket
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tickerd.config import load
from tickerd.runtime.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = Path(sysconfig.get_path("scripts"))


@pytest.fixture
def check(need):
    """Runs a checker of the dependency group ``deploy``."""

    def run(tool, *arguments):
        need.that((SCRIPTS / tool).exists(), f"the command {tool!r}", "pip install --group deploy")
        done = subprocess.run(
            [SCRIPTS / tool, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.full
@pytest.mark.parametrize(
    "command",
    [
        "hadolint --failure-threshold style Dockerfile",
        "check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml",
        "kubernetes-validate --strict deploy/kubernetes.yaml",
        "cfn-lint --regions eu-west-1 --non-zero-exit-code informational -- deploy/ecs.yaml",
    ],
    ids=["hadolint", "compose", "kubernetes", "ecs"],
)
def test_each_file_is_what_its_checker_wants(check, command):
    code, said = check(*shlex.split(command))
    assert code == 0, said


@pytest.mark.full
@pytest.mark.parametrize(
    ("command", "file", "right", "wrong"),
    [
        ("hadolint", "Dockerfile", "WORKDIR /src", "WORKDIR src"),
        ("check-jsonschema --builtin-schema vendor.compose-spec", "deploy/compose.yaml", "read_only", "readonly"),
        ("kubernetes-validate --strict", "deploy/kubernetes.yaml", "periodSeconds", "periodSecs"),
        ("cfn-lint --regions eu-west-1 --", "deploy/ecs.yaml", "ContainerPort", "ContainerPorts"),
    ],
    ids=["hadolint", "compose", "kubernetes", "ecs"],
)  # fmt: skip
def test_each_checker_sees_a_mistake(check, tmp_path, command, file, right, wrong):
    broken = tmp_path / Path(file).name
    broken.write_text((ROOT / file).read_text().replace(right, wrong))
    code, said = check(*shlex.split(command), str(broken))
    assert code != 0, said


def documents(name):
    return list(YAML(typ="safe").load_all((DEPLOY / name).read_text()))


def test_the_configuration_of_the_image_compiles(tmp_path):
    file = tmp_path / "tickerd.yaml"
    file.write_text((DEPLOY / "tickerd.yaml").read_text())
    compiled = load(file, Registry.installed(), {})
    assert compiled.settings.control.listen[0].address == "unix:/run/tickerd/tickerd.sock"


def test_the_configuration_in_the_config_map_compiles_with_the_secret(tmp_path):
    kinds = {one["kind"]: one for one in documents("kubernetes.yaml")}
    for name, value in kinds["Secret"]["stringData"].items():
        (tmp_path / name).write_text(value)
    text = kinds["ConfigMap"]["data"]["tickerd.yaml"]
    (tmp_path / "tickerd.yaml").write_text(text.replace("/run/secrets/tickerd", str(tmp_path)))
    assert "zerodha" in load(tmp_path / "tickerd.yaml", Registry.installed(), {}).settings.sources


def test_probes_come_under_a_name_that_the_api_answers_to():
    (workload,) = [one for one in documents("kubernetes.yaml") if one["kind"] == "StatefulSet"]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [one["path"] for one in probes] == ["/livez", "/livez", "/readyz"]
    assert {header["value"] for one in probes for header in one["httpHeaders"]} == {"localhost"}


def test_what_the_image_copies_is_there_and_is_not_ignored():
    dockerfile, ignored = (ROOT / "Dockerfile").read_text(), (ROOT / ".dockerignore").read_text()
    kept = {line[1:] for line in ignored.splitlines() if line.startswith("!")}
    for words in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE):
        *sources, _ = [word for word in words.split() if not word.startswith("--")]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert source in kept, source


def test_all_run_as_user_1000_on_a_root_that_is_read_only():
    (compose,) = documents("compose.yaml")
    service = compose["services"]["tickerd"]
    assert (service["user"], service["read_only"], service["cap_drop"]) == ("1000:1000", True, ["ALL"])
    (workload,) = [one for one in documents("kubernetes.yaml") if one["kind"] == "StatefulSet"]
    pod = workload["spec"]["template"]["spec"]
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert re.search(r"^USER 1000:1000$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def alive(path):
    """What the health check exits with."""
    command = [sys.executable, DEPLOY / "alive.py"]
    return subprocess.run(
        command, env={**os.environ, "TICKERD_SOCKET": str(path)}, check=False, capture_output=True
    ).returncode


@pytest.mark.parametrize(("answer", "code"), [("200 OK", 0), ("503 Service Unavailable", 1), ("", 1)])
def test_the_health_check_asks_whether_the_daemon_is_alive(tmp_path, answer, code):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        listening.settimeout(20)
        asked = []

        def serve():
            with listening.accept()[0] as connection:
                asked.append(connection.recv(4096).split(b"\r\n")[0])
                if answer:
                    connection.sendall(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        assert alive(tmp_path / "s") == code
        thread.join()
    assert asked == [b"GET /livez HTTP/1.1"]


def test_without_a_daemon_it_is_not_well(tmp_path):
    assert alive(tmp_path / "nobody") == 1
