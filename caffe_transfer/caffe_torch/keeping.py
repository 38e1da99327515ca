"""What a training has besides parameters and history, taken from it and put back into it.

Places in the data, generators, states of layers, the losses that average_loss averages: Caffe's
solver states lack all of them, so that Caffe begins them anew.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch import snapshot
from caffe_transfer.caffe_torch.layers import Layer
from caffe_transfer.caffe_torch.layers.python import Python
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng, set_twister
from caffe_transfer.errors import BadInput, BadResume
from caffe_transfer.formats import resume
from caffe_transfer.formats.resume import Arrays, Kept, part, under, vector
from caffe_transfer.paths import resume_file


@dataclass(frozen=True)
class Changing:
    """What changes in a training besides parameters and history.

    Attributes:
        nets: the one that is trained, then those that are tested.
        losses: the last ones, scalars.
    """

    nets: Sequence[Net]
    rng: Rng
    losses: deque[Tensor]

    def keep(self) -> Kept:
        """How it is now; the arrays stay as they are, whatever happens then."""
        trained = self.nets[0]
        arrays = under("rng", self.rng.state()) | under("torch", _torch_state(trained.device))
        if self.losses:
            arrays["losses"] = torch.stack(list(self.losses)).cpu().numpy()
        if self._has_programs:
            arrays |= under("python", _python_state())
        shared = {id(layer.blobs) for layer in trained.layers}
        for path, layer in _layers(self.nets):
            arrays |= under(f"{path}/state", layer.state())
            if id(layer.blobs) not in shared:  # of a test net, and in no snapshot
                blobs = {str(index): _array(blob) for index, blob in enumerate(layer.blobs)}
                arrays |= under(f"{path}/blobs", blobs)
        lacking = {layer.lacking: None for _, layer in _layers(self.nets) if layer.lacking}
        return Kept(self._names, trained.device.type, list(lacking), arrays)

    def restore(self, state: Path) -> str:
        """Go on as what lies beside a solver state says, if anything does.

        Returns:
            what the resume is, in the words that a log says.

        Raises:
            BadResume: it is broken, or of other nets or data.
        """
        kept = snapshot.kept_beside(state)
        if isinstance(kept, str):
            return f"{resume.AS_CAFFE}, data from the first record: {kept}"
        try:
            self._put_back(kept)
        except (
            BadInput, LookupError, ValueError, TypeError, ArithmeticError, RuntimeError
        ) as error:  # fmt: skip
            raise BadResume(
                f"{resume_file(state)} does not fit the nets and their data ({error}); "
                f"{resume.REMEDY}"
            ) from error
        lacking = [*kept.lacking]
        if kept.device != self.nets[0].device.type:
            lacking.append("what a GPU draws")
        return f"{resume.EXACT} but for {', '.join(lacking)}" if lacking else resume.EXACT

    def _put_back(self, kept: Kept) -> None:
        arrays, device = kept.arrays, self.nets[0].device
        if kept.layers != self._names:
            raise ValueError("it has other layers")
        for path, layer in _layers(self.nets):
            layer.restore(part(arrays, f"{path}/state"))
            for index, blob in part(arrays, f"{path}/blobs").items():
                with torch.no_grad():
                    layer.blobs[int(index)].copy_(torch.from_numpy(blob))
        self.losses.clear()
        if "losses" in arrays:
            losses = vector(arrays, "losses", np.float32)
            self.losses.extend(torch.from_numpy(losses).to(device))
        # Last, since a program may draw.
        self.rng.restore(part(arrays, "rng"))
        _restore_torch(part(arrays, "torch"), device)
        if self._has_programs:
            _restore_python(part(arrays, "python"))

    @property
    def _has_programs(self) -> bool:
        return any(isinstance(layer, Python) for _, layer in _layers(self.nets))

    @property
    def _names(self) -> list[list[str]]:
        return [[f"{layer.param.type} {layer.param.name}" for layer in net.layers]
                for net in self.nets]  # fmt: skip


def _layers(nets: Sequence[Net]) -> Iterator[tuple[str, Layer]]:
    """The layers of all nets, with the paths of their arrays."""
    for number, net in enumerate(nets):
        for index, layer in enumerate(net.layers):
            yield f"{number}/{index}", layer


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _torch_state(device: torch.device) -> Arrays:
    """PyTorch's generators; a graph's passes draw from the device's own, and move it on."""
    state = {"cpu": torch.get_rng_state().numpy()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device).numpy()
    return state


def _restore_torch(state: Arrays, device: torch.device) -> None:
    torch.set_rng_state(torch.from_numpy(state["cpu"]))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(torch.from_numpy(state["cuda"]), device)


def _python_state() -> Arrays:
    """The generators of Python's and numpy's modules, which Python layers may draw from."""
    _, words, gauss = random.getstate()
    numpys = np.random.get_state(legacy=False)
    assert isinstance(numpys, dict)  # as numpy's stub does not say
    inner = numpys["state"]
    return {
        "random": np.array(words, np.uint32), "gauss": np.array([] if gauss is None else [gauss]),
        "key": inner["key"], "at": np.array(inner["pos"]),
        "normal": np.array([numpys["has_gauss"], numpys["gauss"]]),
    }  # fmt: skip


def _restore_python(state: Arrays) -> None:
    gauss = state["gauss"].tolist()
    random.setstate((3, tuple(state["random"].tolist()), gauss[0] if gauss else None))
    bits = np.random.MT19937()
    set_twister(bits, state)  # which checks it
    has_normal, normal = state["normal"].tolist()
    np.random.set_state({**bits.state, "has_gauss": int(has_normal), "gauss": normal})
