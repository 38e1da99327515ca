"""The documents say what the program does."""

import re
import shlex
from contextlib import suppress
from pathlib import Path

import click
import pytest

from caffe_transfer.cli import COMMANDS, cli
from docs import write_cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_commands_page_is_fresh() -> None:
    assert write_cli.PAGE.read_text() == write_cli.page(), "run make docs"


def test_every_command_is_there_with_an_example() -> None:
    for name in COMMANDS:
        section = write_cli.page().split(f"\n## caffe-transfer {name}\n")[1].split("\n## ")[0]
        assert "Example:" in section, name
        example = section.split("Example:")[1].split("\nOptions:")[0].split("\nCommands:")[0]
        assert f"\n    caffe-transfer {name}" in example, name


def commands_in_blocks(page: Path) -> list[str]:
    """The calls of caffe-transfer in a page's blocks of code."""
    text = page.read_text().replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S))
    return re.findall(r"^ *(caffe-transfer .*)$", blocks, re.M)


def commands_in_prose(page: Path) -> list[str]:
    """Those between backticks; they may leave out what is required."""
    return re.findall(r"`(caffe-transfer\s[^`]+)`", page.read_text())


def call(line: str) -> None:
    """Parse a command line with the real commands, without running it."""
    words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, f"no such command: {line}"
        command = found
    command.make_context(line, words)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page != write_cli.PAGE], ids=lambda page: page.name
)
def test_commands_in_the_pages_can_be_called(page: Path) -> None:
    for line in commands_in_blocks(page):
        call(line)
    for line in commands_in_prose(page):
        with suppress(click.MissingParameter):
            call(line)


def test_commands_are_found_and_wrong_ones_noticed(tmp_path: Path) -> None:
    assert len(commands_in_blocks(ROOT / "README.md")) >= 10
    page = tmp_path / "page.md"
    page.write_text("```sh\ncaffe-transfer data split --out lists --verify ILSVRC2012\n```\n")
    with pytest.raises(click.UsageError, match="ILSVRC2012"):
        test_commands_in_the_pages_can_be_called(page)
    page.write_text("Call `caffe-transfer run --quik`.\n")
    with pytest.raises(click.NoSuchOption):
        test_commands_in_the_pages_can_be_called(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_dependency_is_explained() -> None:
    required = re.findall(r'^        "([a-z0-9-]+)[><=]', (ROOT / "setup.py").read_text(), re.M)
    explained = (ROOT / "docs/dependencies.md").read_text()
    assert len(required) >= 9
    for name in required:
        assert f"| {name} |" in explained, name
