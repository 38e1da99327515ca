"""How transferable are features in deep neural networks?  In Caffe, then and today.

    import caffe_transfer as ct

The names below are imported when they are first used: `import caffe_transfer` costs nothing.
docs/python.md shows them at work.
"""

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, without importing typing at every start
if TYPE_CHECKING:
    from caffe_transfer.api import (
        TrainedNetwork,
        compare,
        copy_layers,
        describe,
        fit,
        generate,
        load_study,
        open_model,
        prepare,
        read_results,
        run,
        train,
        upgrade,
    )
    from caffe_transfer.errors import (
        BadInput,
        Busy,
        CaffeTransferError,
        EngineError,
        FormatError,
        Incomplete,
        Interrupted,
    )
    from caffe_transfer.report.figures import figure2, figure3
    from caffe_transfer.report.verdict import verdicts
    from caffe_transfer.run_options import Callbacks
    from caffe_transfer.studies.network import Mode, Network
    from caffe_transfer.studies.study import Study
    from caffe_transfer.version import __version__

_MODULES = {
    "api": (
        "TrainedNetwork", "compare", "copy_layers", "describe", "fit", "generate", "load_study",
        "open_model", "prepare", "read_results", "run", "train", "upgrade",
    ),
    "errors": (
        "BadInput", "Busy", "CaffeTransferError", "EngineError", "FormatError", "Incomplete",
        "Interrupted",
    ),
    "run_options": ("Callbacks",),
    "report.figures": ("figure2", "figure3"),
    "report.verdict": ("verdicts",),
    "studies.network": ("Mode", "Network"),
    "studies.study": ("Study",),
    "version": ("__version__",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BadInput",
    "Busy",
    "CaffeTransferError",
    "Callbacks",
    "EngineError",
    "FormatError",
    "Incomplete",
    "Interrupted",
    "Mode",
    "Network",
    "Study",
    "TrainedNetwork",
    "__version__",
    "compare",
    "copy_layers",
    "describe",
    "figure2",
    "figure3",
    "fit",
    "generate",
    "load_study",
    "open_model",
    "prepare",
    "read_results",
    "run",
    "train",
    "upgrade",
    "verdicts",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
