# SPDX-License-Identifier: Apache-2.0
"""DOT text to a picture. Graphviz works in a process of its own: a bad graph can crash its C code or keep it busy.

pygraphviz (which brings Graphviz along) comes first, then a `dot` of the system.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

from heaptide._errors import NothingToShow
from heaptide.render.markup import NO_XML

FORMATS = ("svg", "pdf", "ps", "png", "gif")
TIME_LIMIT = 300.0
"""Seconds. Layout time grows fast with the number of edges: 80 nodes take well under one, 400 about ten."""

PAGE = {"pdf": {"size": "195,195"}, "ps": {"size": "195,195"}}
"""Attributes of the graph by format. Viewers show no page that is longer than 200 inches (14,400 points): what is
larger is drawn smaller, with nothing lost since both formats scale."""

_HINT = "pip install 'heaptide[graph]', or install Graphviz; .dot files need neither"


def draw(source: str, form: str, *, time_limit: float = TIME_LIMIT) -> bytes:
    """The picture of a DOT text, in one of `FORMATS`.

    Raises:
        NothingToShow: there is no Graphviz, or none that can draw this in ``time_limit`` seconds.
    """
    failures = []
    for name, arguments in _programs(form):
        try:
            run = subprocess.run(
                arguments,
                input=NO_XML.sub("\ufffd", source).encode("utf-8"),
                capture_output=True,
                timeout=time_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise NothingToShow(
                f"the layout of the graph took longer than {time_limit:.0f} s",
                hint="show fewer nodes (--nodecount 40), or write a .dot file",
            ) from None
        except OSError as error:
            failures.append(f"{name}: {error.strerror}")
            continue
        if run.returncode == 0 and run.stdout:
            return with_page_size(run.stdout) if form == "ps" else run.stdout
        failures.append(f"{name}: {_last_line(run.stderr) or f'ended with status {run.returncode}'}")
    if failures:
        raise NothingToShow(
            f"Graphviz could not draw the graph ({'; '.join(failures)})", hint="write a .dot file instead"
        )
    raise NothingToShow(f"drawing {form} needs Graphviz, which is not installed", hint=_HINT)


def _programs(form: str) -> Iterator[tuple[str, Sequence[str]]]:
    """What can draw, the first choice first: a name and the command; both read DOT and write the picture."""
    if importlib.util.find_spec("pygraphviz") is not None:
        yield "pygraphviz", [sys.executable, "-m", "heaptide.render.layout", form]
    system = shutil.which("dot")
    if system is not None:
        yield system, [system, f"-T{form}", *(f"-G{name}={value}" for name, value in PAGE.get(form, {}).items())]


def with_page_size(drawn: bytes) -> bytes:
    """Graphviz's PostScript on one page of the graph's own size; it says nothing, and viewers would take A4 and cut."""
    boxes = re.findall(rb"^%%BoundingBox: (\d+) (\d+) (\d+) (\d+)\r?$", drawn, re.MULTILINE)
    if not boxes:
        return drawn
    left, bottom, right, top = map(int, boxes[-1])
    size = b"%d %d" % (left + right, bottom + top)  # the same margin on the far sides
    media = b"%%DocumentMedia: graph " + size + b" 0 () ()\n%%EndComments"
    setup = b"%%PageOrientation: Portrait\n%%PageMedia: graph\n%%BeginPageSetup\n<< /PageSize [" + size + b"] >>"
    setup += b" setpagedevice\n%%EndPageSetup"
    return drawn.replace(b"%%EndComments", media, 1).replace(b"%%PageOrientation: Portrait", setup, 1)


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
