"""`export`."""

from pathlib import Path

import click

from caffe_transfer.cli.options import ImageShape
from caffe_transfer.cli.wrapping import echo
from caffe_transfer.export.make import Exported, Format, export
from caffe_transfer.export.packages import INSTALL

LISTED = 6  # names of layers, of many
FILE = click.Path(path_type=Path)


@click.command("export")
@click.argument("model", metavar="MODEL", type=FILE)
@click.argument("out", metavar="OUT", type=FILE)
@click.option(
    "--net", metavar="P", type=FILE, required=True, help="Its prototxt, train_val or deploy."
)
@click.option(
    "--to",
    type=click.Choice([each.value for each in Format]),
    required=True,
    help="What OUT shall be.",
)
@click.option("--shape", type=ImageShape(), help="Of the images, where P does not say it.")
def export_command(
    model: Path, out: Path, net: Path, to: str, shape: tuple[int, ...] | None
) -> None:
    """Write a model for programs other than Caffe.

    MODEL and P may be of any age. Exported is what P computes in phase TEST, from the images to the
    scores: without data layers, losses and accuracies. A deploy net keeps its Softmax; a train_val
    net says how images are cropped and which mean is subtracted, and the file says it too.

    \b
    safetensors  the weights by name, with what each of them is
    pytorch      a state_dict (OUT.pt), and beside it a module (OUT.py) that needs torch alone
    onnx         the net for onnxruntime and others, for batches of any size

    Modules and ONNX files are compared with caffe-torch on the same input before they are written.

    \b
    Example:
      caffe-transfer export caffenet.caffemodel --net deploy.prototxt --to onnx caffenet.onnx
    """
    done = export(model, net, Format(to), out, shape)
    echo(f"wrote    {' '.join(map(str, done.files))}")
    layers = f"{done.layers} layer{'s' if done.layers != 1 else ''}"
    echo(f"weights  {layers}, {done.parameters:,} parameters")
    _print_net(done)
    if done.difference is not None:
        echo(
            f"checked  {done.measured} against caffe-torch: at most {done.difference:.1e} of the "
            "largest value"
        )
    elif to == Format.ONNX:
        click.echo(f"note: not checked, as onnxruntime is missing; run {INSTALL}", err=True)


def _print_net(done: Exported) -> None:
    for name, shape in done.deploy.inputs.items():
        first = "batch" if done.any_batch else shape[0]
        echo(f"input    {name} ({', '.join(map(str, (first, *shape[1:])))})")
    echo(f"output   {' '.join(done.deploy.outputs)}")
    if dropped := done.deploy.dropped:
        more = f" ... ({len(dropped)})" if len(dropped) > LISTED else ""
        echo(f"left out {' '.join(dropped[:LISTED])}{more}")
