# SPDX-License-Identifier: Apache-2.0
"""`python -m heaptide.render.layout FORMAT`: DOT on stdin to a picture on stdout. The child process of `picture`."""

from __future__ import annotations

import sys


def main() -> None:
    """Draw what stands on stdin."""
    import pygraphviz

    from heaptide.render.picture import PAGE

    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode("utf-8"))
    graph.graph_attr.update(PAGE.get(sys.argv[1], {}))
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))


if __name__ == "__main__":
    main()
