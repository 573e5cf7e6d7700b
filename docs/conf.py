"""How Sphinx makes the documentation: ``sphinx-build -W docs build/docs``."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

from aptnn_md import __version__

project = "aptnn_md"
release = version = __version__
copyright = "aptnn_md developers, MIT licence"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "command_reference",
    "mathml",
    "settings_reference",
]
html_theme = "furo"
html_title = f"aptnn_md {version}"
html_show_sphinx = False
html_math_renderer = "mathml"
smartquotes = False
exclude_patterns = ["_extensions", "notebooks/*.ipynb"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
pygments_style = "friendly"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# the packages of which only types are named need not be installed
autodoc_mock_imports = ["openmm", "torch_sim"]
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
suppress_warnings = ["autodoc.mocked_object"]

_SECTION = re.compile(r"(Parameters|Attributes|Returns|Raises|Yields|Notes|Examples)$")
# what reStructuredText takes for emphasis and substitutions: *shape, |∂M/∂Q|²
_MISTAKEN = re.compile(r"(?<=, )\*(?=\w+\))|\|(?=\S+\|²)|(?<=\w)\|(?=²)")
_ANNOTATED = re.compile(r"(?:typing\.)?Annotated\[(.+?), ~?aptnn_md\.settings\.\w+\(.*?\)\]")
_ENTRY = re.compile(r"(?P<names>\w[\w, ]*) : (?P<text>.+)")


def describe_parameters(app, what, name, obj, options, lines):
    """``name : description`` as Sphinx wants it: here the annotations say the types."""
    section, result = "", []
    for number, line in enumerate(lines):
        underlined = number + 1 < len(lines) and set(lines[number + 1].strip()) == {"-"}
        if underlined and _SECTION.match(line.strip()):
            section = line.strip()
        entry = _ENTRY.fullmatch(line) if section in ("Parameters", "Attributes") else None
        if entry is None:
            result.append(line)
            continue
        # napoleon takes several names of a parameter, but not of an attribute
        names = [entry["names"]] if section == "Parameters" else entry["names"].split(", ")
        for name in names:
            result += [name, f"    {entry['text']}"]
    lines[:] = [_MISTAKEN.sub(r"\\\g<0>", line) for line in result]


def plain_signature(app, what, name, obj, options, signature, returned):
    """Types of settings without their ranges, which reference/settings.md lists."""
    return (_ANNOTATED.sub(r"\1", signature) if signature else signature), returned


def setup(app):
    """Before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", describe_parameters, priority=400)
    app.connect("autodoc-process-signature", plain_signature)
