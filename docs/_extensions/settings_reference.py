"""The directive ``settings``: the fields of a dataclass of settings, what they may be and mean."""

import importlib
import inspect
import re
from dataclasses import MISSING, fields
from typing import get_type_hints

from docutils import nodes
from docutils.parsers.rst import Directive

from aptnn_md.settings import in_words

TITLES = ("name", "value", "default", "meaning")
WIDTHS = (18, 22, 14, 46)
_ENTRY = re.compile(r"(?P<names>\w[\w, ]*) : (?P<text>.+)")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")


class Settings(Directive):
    """``.. settings:: module.Class`` makes a table of the fields of the class."""

    required_arguments = 1

    def run(self):
        """Nodes of the table."""
        module, _, name = self.arguments[0].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        hints, meanings = get_type_hints(kind, include_extras=True), meanings_of(kind)
        rows = [
            (
                f"``{field.name}``",
                in_words(hints[field.name]),
                default_of(field),
                meanings.get(field.name, "see above"),
            )
            for field in fields(kind)
        ]
        return [self.table(rows)]

    def table(self, rows):
        """A table with the titles above."""
        group = nodes.tgroup(cols=len(TITLES))
        group += [nodes.colspec(colwidth=width) for width in WIDTHS]
        head, body = nodes.thead(), nodes.tbody()
        head += self.row(TITLES)
        body += [self.row(row) for row in rows]
        group += [head, body]
        found = nodes.table()
        found += group
        return found

    def row(self, cells):
        """A row of cells in reStructuredText."""
        found = nodes.row()
        for cell in cells:
            children, _ = self.state.inline_text(cell, self.lineno)
            entry = nodes.entry()
            entry += nodes.paragraph("", "", *children)
            found += entry
        return found


def meanings_of(kind):
    """Name of a field -> what the docstring of its class says of it."""
    found = {}
    for each in reversed(kind.__mro__[:-1]):
        names = []
        for line in inspect.cleandoc(each.__doc__ or "").splitlines():
            entry = _ENTRY.fullmatch(line)
            if entry:
                names = entry["names"].split(", ")
                found |= dict.fromkeys(names, entry["text"])
            elif names and line.startswith("    "):
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            else:
                names = []
    return {name: _ROLE.sub(r"``\1``", text) for name, text in found.items()}


def default_of(field):
    """A default in words; nothing where there must be a value."""
    if field.default is MISSING:
        return "" if field.default_factory is MISSING else "none"
    if isinstance(field.default, float):
        return f"{field.default:.6g}"
    return "none" if field.default in (None, "", ()) else str(field.default)


def setup(app):
    """Register the directive."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
