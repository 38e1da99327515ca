"""The libraries inside the page are the files that their authors publish, with their licences."""

import re
from pathlib import Path

from caffe_transfer.formats.hashes import sha256
from caffe_transfer.report import page

VENDOR = Path(page.__path__[0]) / "vendor"


def test_the_files_are_those_that_the_table_names() -> None:
    rows = re.findall(
        r"^\| `(\S+)` \|.*`(\S+LICENSE\S+)` \| `([0-9a-f]{64})` \|$",
        (VENDOR / "README.md").read_text(), re.M,
    )  # fmt: skip
    assert {name for name, _, _ in rows} == {path.name for path in VENDOR.glob("*.js")}
    for name, licence, expected in rows:
        assert sha256(VENDOR / name) == expected
        assert "Permission to use, copy, modify" in (VENDOR / licence).read_text()
