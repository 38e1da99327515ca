"""The documents say what the program does."""

import re
from pathlib import Path

import pytest

from caffe_transfer.cli import COMMANDS
from docs import write_cli

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def test_the_commands_page_is_fresh() -> None:
    assert write_cli.PAGE.read_text() == write_cli.page(), "run make docs"


def test_every_command_is_there_with_an_example() -> None:
    for name in COMMANDS:
        section = write_cli.page().split(f"\n## caffe-transfer {name}\n")[1].split("\n## ")[0]
        assert "Example" in section, name
        assert f"caffe-transfer {name}" in section, name


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
