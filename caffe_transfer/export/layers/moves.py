"""Layers that move values and change none."""

from caffe_transfer.export.layers.base import Code, Site, coder
from caffe_transfer.nets.shapes.moves import concat_axis, crop_offsets, slice_axis


@coder("Concat")
def _concat(site: Site) -> Code:
    axis = concat_axis(site.layer, site.bottoms[0])
    return Code([f"torch.cat([{', '.join(site.x)}], {axis})"])


@coder("Slice")
def _slice(site: Site) -> Code:
    axis = slice_axis(site.layer, site.bottoms[0])
    if len(site.tops) == 1:
        return Code([site.x[0]])
    return Code([f"{site.x[0]}.split({[top[axis] for top in site.tops]}, {axis})"])


@coder("Split")
def _split(site: Site) -> Code:
    return Code([site.x[0]] * len(site.tops))


@coder("Flatten")
def _flatten(site: Site) -> Code:
    given = site.layer.flatten_param
    end = "" if given.end_axis == -1 else f", {given.end_axis}"
    return Code([f"{site.x[0]}.flatten({given.axis}{end})"])


@coder("Reshape")
def _reshape(site: Site) -> Code:
    """An axis that is kept is asked for, so that batches may have any size."""
    given, axes, x = site.layer.reshape_param, len(site.bottoms[0]), site.x[0]
    start = given.axis if given.axis >= 0 else axes + given.axis + 1
    end = axes if given.num_axes == -1 else start + given.num_axes
    new = [
        str(length) if length else f"{x}.shape[{start + index}]"
        for index, length in enumerate(given.shape.dim)
    ]
    before = [f"{x}.shape[{index}]" for index in range(start)]
    after = [f"{x}.shape[{index}]" for index in range(end, axes)]
    return Code([f"{x}.reshape({', '.join([*before, *new, *after])})"])


@coder("Crop")
def _crop(site: Site) -> Code:
    start, offsets = crop_offsets(site.layer, site.bottoms[0])
    x, like = site.x
    parts = [":"] * start + [
        f"{offset or ''}:{f'{offset} + ' if offset else ''}{like}.shape[{axis}]"
        for axis, offset in enumerate(offsets, start)
    ]
    return Code([f"{x}[{', '.join(parts)}]"])


@coder("Tile")
def _tile(site: Site) -> Code:
    repeats = [1] * len(site.bottoms[0])
    repeats[site.layer.tile_param.axis] = site.layer.tile_param.tiles
    return Code([f"{site.x[0]}.repeat({', '.join(map(str, repeats))})"])


@coder("Filter")
def _filter(site: Site) -> Code:
    *items, selector = site.x
    chosen = f"torch.nonzero({selector}.flatten()).flatten()"
    return Code([f"{item}.index_select(0, {chosen})" for item in items])


@coder("BatchReindex")
def _batch_reindex(site: Site) -> Code:
    items, indices = site.x
    return Code([f"{items}.index_select(0, {indices}.long())"])
