"""docs/runbooks and the samples for monitoring fit each other, the commands and the code."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tickerd.plugin import SCOPES

PAGES = {
    "no-ticks", "token-dead", "disk-full", "slow-client", "webhook-down", "clock-wrong", "upgrade", "rollback",
    "key-leaked",
}  # fmt: skip
WHERE = "https://example.com/tickerd/docs/runbooks/"


@pytest.fixture(scope="module")
def rules(checkout: Path) -> list[dict[str, Any]]:
    found = YAML(typ="safe").load(checkout / "config/prometheus/alerts.yml")["groups"][0]["rules"]
    assert isinstance(found, list)
    return found


def test_there_is_a_page_for_everything_that_pages(checkout: Path) -> None:
    assert {path.stem for path in (checkout / "docs/runbooks").glob("*.md")} == PAGES | {"README"}


@pytest.mark.parametrize("name", sorted(PAGES - {"upgrade", "rollback"}))
def test_each_page_says_what_is_seen_and_what_to_do_first(checkout: Path, name: str) -> None:
    text = (checkout / f"docs/runbooks/{name}.md").read_text()
    assert "**Seen:**" in text
    first = text.partition("## First minute")[2].partition("\n## ")[0]
    assert "```sh" in first
    assert "## Afterwards" in text
    assert len(text.splitlines()) < 60, "one short page"


def test_every_alert_leads_to_a_page_and_the_index_names_it(
    checkout: Path, rules: list[dict[str, Any]]
) -> None:
    index = (checkout / "docs/runbooks/README.md").read_text()
    for rule in rules:
        url = rule["annotations"]["runbook_url"]
        assert url.startswith(WHERE)
        page = checkout / "docs/runbooks" / url.removeprefix(WHERE)
        assert page.exists(), rule["alert"]
        if rule["alert"] not in ("TickerdWatchdog", "TickerdUnitDown", "TickerdInstrumentsUnknown"):
            (line,) = [line for line in index.splitlines() if f"`{rule['alert']}`" in line]
            assert f"({page.name})" in line, rule["alert"]


def test_alerts_that_documents_name_exist(checkout: Path, rules: list[dict[str, Any]]) -> None:
    known = {rule["alert"] for rule in rules}
    files = [*(checkout / "docs").rglob("*.md"), checkout / "SECURITY.md"]
    for path in [*files, checkout / "config/prometheus/alertmanager.yml"]:
        named = set(re.findall(r"\bTickerd[A-Z]\w+", path.read_text()))
        assert named <= known, path


def test_routes_lead_to_receivers_and_no_secret_is_in_the_sample(checkout: Path) -> None:
    sample = YAML(typ="safe").load(checkout / "config/prometheus/alertmanager.yml")
    receivers = {one["name"]: one for one in sample["receivers"]}
    used = {sample["route"]["receiver"], *(route["receiver"] for route in sample["route"]["routes"])}
    assert used == set(receivers)
    (pager,) = receivers["pager"]["pagerduty_configs"]
    assert pager["routing_key_file"].startswith("/etc/")
    assert "routing_key" not in pager
    assert any("severity" in matcher for route in sample["route"]["routes"] for matcher in route["matchers"])


def test_the_log_sample_reads_fields_that_lines_have(checkout: Path) -> None:
    sample = YAML(typ="safe").load(checkout / "config/logs/vector.yaml")
    for name, part in (*sample["transforms"].items(), *sample["sinks"].items()):
        assert set(part["inputs"]) <= {*sample["sources"], *sample["transforms"]}, name
    labels = set(re.findall(r"{{ (\w+) }}", str(sample["sinks"]["loki"]["labels"])))
    fields = (checkout / "docs/operations.md").read_text()
    assert all(f"| `{label}` |" in fields for label in labels - {"host"})


def test_the_threat_model_knows_every_scope(checkout: Path) -> None:
    text = (checkout / "SECURITY.md").read_text()
    section = text.partition("### What each scope can do to you")[2].partition("\n### ")[0]
    assert set(re.findall(r"`([a-z]+:[a-z]+)`", section)) == set(SCOPES)


def test_what_the_documents_say_of_backups_is_so(checkout: Path) -> None:
    from tickerd.state.backup import EPOCHS_LEFT_FREE

    help_text = (checkout / "tickerd/cli/backup.py").read_text()
    assert f"{EPOCHS_LEFT_FREE:,} further" in help_text
    assert "before-restore-" in (checkout / "docs/runbooks/rollback.md").read_text()


@pytest.mark.full
def test_amtool_accepts_the_sample(checkout: Path, need: Any) -> None:
    import subprocess

    command = [need("amtool"), "check-config", str(checkout / "config/prometheus/alertmanager.yml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
