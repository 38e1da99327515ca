"""Click options grouped into dataclasses, for commands that take many of them."""

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any


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
