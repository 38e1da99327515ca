"""Layers that run through time."""

from caffe_transfer.export.layers.base import Code, Site, arguments, coder
from caffe_transfer.export.weights import names
from caffe_transfer.nets.shapes.recurrent import wiring


@coder("RNN", "LSTM")
def _recurrent(site: Site) -> Code:
    """The states begin with zeros in each call; Caffe's go on from batch to batch."""
    kind, found = site.layer.type, wiring(site.layer)
    called = [name for name, _ in names(site.layer)]
    state = dict(zip(called, site.parameters, strict=True))
    inputs, outputs = state["weight_input"].shape[1], state["weight_hidden"].shape[1]
    static = f"{state['weight_static'].shape[1]}" if found.has_static else ""
    made = f"{kind}({arguments(f'{inputs}, {outputs}', static)})"
    first = [*site.x[:2], *(site.x[2:3] if found.has_static else ["None"])]
    given = [*first, *site.x[found.states_from :]] if found.exposed else first
    if given[-1] == "None":
        given.pop()
    result = f"{site.own}({', '.join(given)})"
    return Code([result if found.exposed else f"{result}[0]"], made, state, [kind])


@coder("LSTMUnit")
def _lstm_unit(site: Site) -> Code:
    return Code([f"lstm_unit({', '.join(site.x)})"], helpers=["lstm_unit"])
