"""Tables as CSV."""

import csv
import io
from collections.abc import Iterable, Mapping


def csv_text(columns: Iterable[str], records: Iterable[Mapping[str, object]]) -> str:
    """A table in CSV: ten significant digits, true or false, empty where a value is None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow(map(_as_text, record.values()))
    return text.getvalue()


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.10g}"
    return str(value)
