"""`caffe-transfer cuts`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "cuts", *map(str, arguments)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_papers_net() -> None:
    rows = call("caffenet").stdout.splitlines()
    assert [row.split()[:2] for row in rows[1:]] == [
        [str(n), name]
        for n, name in enumerate(["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"], 1)
    ]
    assert rows[1].split()[2:] == ["34,944", "0.1%", "14.6%", "96x55x55", "conv1"]


def test_names_are_whole_at_any_width(shared: Path) -> None:
    done = call(shared / "nets/squeezenet_v1.1_train_val.prototxt")
    assert "fire9/concat" in done.stdout
    assert done.stdout.count("expand3x3") == 8
    assert "…" not in done.stdout


def test_json(shared: Path) -> None:
    done = call(shared / "nets/ResNet-50-deploy.prototxt", "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [cut["n"] for cut in found] == list(range(1, 18))
    assert found[1] == {
        "n": 2, "name": "res2a",
        "weight_layers": [f"res2a_branch{part}" for part in ("1", "2a", "2b", "2c")],
        "parameters": 86021, "parameter_share": pytest.approx(0.00336, rel=0.01),
        "multiply_adds": 349224960, "multiply_add_share": pytest.approx(0.0905, rel=0.01),
        "shape": [256, 56, 56],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alexnet"], "there is no net 'alexnet'; name a prototxt or one of "),
        (["none.prototxt"], "there is no file none.prototxt"),
        (["mini", "--shape", "3,x"], "'3,x' is not three numbers with commas"),
        (["mini", "--shape", "1,2,2"], "larger than its input"),
        (["net.prototxt"], "does not say the size of its images; give it with --shape"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(
        'name: "n" layer { name: "d" type: "Data" top: "x" top: "label" }'
        'layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" }'
        'layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" }'
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "b" bottom: "label" }'
    )
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """They do not color the terminal, by escapes or by the marks of what draws the table."""
    net = (Path(__file__).parent / "data" / "residual.prototxt").read_text()
    (tmp_path / "net.prototxt").write_text(net.replace('"conv1"', '"[red]\\033[31m"'))
    done = call(tmp_path / "net.prototxt", "--shape", "3,32,32")
    assert done.returncode == 0, done.stderr
    assert "[red]\\x1b[31m" in done.stdout
    assert "\x1b" not in done.stdout
