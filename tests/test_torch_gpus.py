"""Which GPUs PyTorch can use, and why not the others."""

import warnings
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; pip install '.[test]'")

from caffe_transfer.caffe_torch import command  # noqa: E402
from caffe_transfer.caffe_torch.gpus import code_of, why_none  # noqa: E402


def test_a_pytorch_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert why_none().startswith("this PyTorch is built without CUDA; install one with CUDA")


def test_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert why_none().startswith("there is no GPU that PyTorch can use; nvidia-smi says")


def test_an_old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_available() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version "
            "12040).",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    assert why_none() == (
        "the driver is too old for this PyTorch, which is built with CUDA 13.0; install a newer "
        "driver, or a PyTorch for an older CUDA"
    )


def test_names_of_architectures() -> None:
    code = code_of(["sm_75", "sm_90", "sm_90a", "sm_120f", "compute_120"])
    assert str(code) == "7.5, 9.0, 12.0 and later"


@pytest.mark.parametrize(("major", "status"), [(9, 0), (6, 1)])
def test_device_query_refuses_a_card_without_code(
    major: int, status: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    card = SimpleNamespace(major=major, minor=0, name="X", total_memory=1, multi_processor_count=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    assert command.main(["device_query", "--gpu=0"]) == status
    said = "this PyTorch has no code for X (6.0), only for 7.5, 9.0; install one that has"
    assert (said in capfd.readouterr().err) == bool(status)
