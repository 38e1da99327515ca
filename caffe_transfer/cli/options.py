"""What several commands' options share: kinds of values, and options grouped into dataclasses."""

import functools
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from caffe_transfer.units import bytes_in

_NUMBER = re.compile("-?[0-9]{1,18}")


class CutName(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.2 alone
    """A cut by its number or by its name."""

    name = "N|NAME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        text = str(value)
        return int(text) if _NUMBER.fullmatch(text) else text


class Size(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.2 alone
    """A number of bytes, with its unit."""

    name = "SIZE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            return bytes_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


CUT = CutName()
SIZE = Size()


class ImageShape(click.ParamType):  # type: ignore[type-arg]  # generic in click 8.2 alone
    """CHANNELS,HEIGHT,WIDTH."""

    name = "C,H,W"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        try:
            shape = tuple(map(int, str(value).split(",")))
        except ValueError:
            shape = ()
        if len(shape) != 3 or min(shape) < 1:
            self.fail(f"{value!r} is not three numbers with commas, as in 3,227,227", param, ctx)
        return shape


def grouped(group: type[Any], name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Pass the options that are fields of the dataclass `group` to a command as argument `name`."""
    keys = [field.name for field in fields(group)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def call(**options: Any) -> Any:
            options[name] = group(**{key: options.pop(key) for key in keys})
            return command(**options)

        return call

    return decorate
