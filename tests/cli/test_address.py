"""Where the control API of a file listens."""

from pathlib import Path

import click
import pytest

from tickerd.cli.address import WrongFile, listening


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "t.yaml"


@pytest.mark.parametrize(
    ("control", "addresses"),
    [
        ("{}", ["unix:/run/tickerd.sock"]),
        ("{listen: 'unix:/a.sock'}", ["unix:/a.sock"]),
        ("{listen: ['127.0.0.1:7801', 'unix:/a.sock']}", ["unix:/a.sock", "http://127.0.0.1:7801"]),
        (
            "{listen: ['0.0.0.0:1', '[::]:2', '[::1]:3']}",
            ["http://127.0.0.1:1", "http://[::1]:2", "http://[::1]:3"],
        ),
        ("{listen: [{address: 'h:1', tls: {cert: a, key: b}}]}", ["https://h:1"]),
        ("{listen: [{address: 'unix:/ro', scopes: [status:read]}, 'unix:/rw']}", ["unix:/rw", "unix:/ro"]),
        ("{listen: [{}, 5, '']}", []),
    ],
)
def test_sockets_come_first_and_those_that_may_do_everything_before_all(
    file: Path, control: str, addresses: list[str]
) -> None:
    file.write_text(f"control: {control}\nsources: {{a: {{use: x, key: '${{credential:gone}}'}}}}\n")
    assert [one.address for one in listening(file)] == addresses


def test_a_file_without_the_section_has_no_api(file: Path) -> None:
    for text in ("sources: {}\n", "control:\n"):
        file.write_text(text)
        with pytest.raises(click.ClickException, match="has no section 'control'"):
            listening(file)


def test_a_file_that_is_no_yaml_is_told_as_check_tells_it(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("a: [")
    with pytest.raises(WrongFile) as raised:
        listening(file)
    assert raised.value.exit_code == 78
    raised.value.show()
    assert capsys.readouterr().err.startswith(f"{file}:1:")
