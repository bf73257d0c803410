"""How the documentation is built: `nox -s docs`."""

import tomllib
from importlib.metadata import version as version_of
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from pq_core.states import TRANSITIONS

project = "pq"
author = "pq contributors"
copyright = "pq contributors"  # noqa: A001 - Sphinx's name for it
release = version_of("pq-core")
version = ".".join(release.split(".")[:2])

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "changelog.d"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# Two settings of one name mean the same in two places only to Sphinx.
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"pq {version}"
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True


def write_states() -> None:
    """Make the table of states from the one place in which the code has them."""
    rows = [
        f"| {verb} | {before or 'not stored'} | {after} |"
        for verb, moves in TRANSITIONS.items()
        for before, after in moves
    ]
    table = "\n".join(["| what happens | from | to |", "|---|---|---|", *rows, ""])
    Path(__file__).with_name("explanation").joinpath("states.inc").write_text(table, encoding="utf-8")


def write_features() -> None:
    """Make the table of features, a part for each group, from features.toml."""
    known = tomllib.loads(Path(__file__).with_name("features.toml").read_text(encoding="utf-8"))
    peers: dict[str, str] = known["peers"]
    head = "| | pq | " + " | ".join(f"{name} {version}" for name, version in peers.items()) + " |"
    lines: list[str] = []
    for group, features in groupby(known["feature"], key=itemgetter("group")):
        lines += [f"## {group}", "", head, "|---" * (len(peers) + 2) + "|"]
        for feature in features:
            name = f"[{feature['name']}](../{feature['page']})" if "page" in feature else feature["name"]
            cells = " | ".join([feature["pq"], *feature["peers"]])
            lines.append(f"| **{name}**. {feature['means']} | {cells} |")
        lines.append("")
    Path(__file__).with_name("reference").joinpath("features.inc").write_text("\n".join(lines), encoding="utf-8")


write_states()
write_features()


def setup(app: Sphinx) -> None:
    """Keep the colons of attributes' docstrings: Napoleon takes what stands before the first one for a type."""
    kept: list[str] = []

    def keep(_: Sphinx, what: str, *more: Any) -> None:
        kept[:] = more[-1] if what in ATTRIBUTES else []

    def put_back(_: Sphinx, what: str, *more: Any) -> None:
        if what in ATTRIBUTES:
            more[-1][:] = kept

    app.connect("autodoc-process-docstring", keep, priority=100)
    app.connect("autodoc-process-docstring", put_back, priority=900)


ATTRIBUTES = {"attribute", "data", "property"}
