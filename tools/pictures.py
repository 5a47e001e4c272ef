# SPDX-License-Identifier: Apache-2.0
"""`python -m tools.pictures`: the pictures of docs/pictures.md, of a new recording of tests/browser/shop.cpp.

Numbers and dates differ from one recording to the next, so no test compares them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"
SECONDS = 20
COMMANDS = (
    ("flame", "-o", "flame.svg", "--width", "1000"),
    ("flame", "-o", "flame-growth.svg", "--base", "11s", "--at", "14s", "--width", "1000"),
    ("timeline", "-o", "timeline.svg"),
    ("timeline", "-o", "timeline-sites.svg", "--by", "site"),
)


def _heaptide(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "heaptide", *words], cwd=folder, check=True)


def main() -> None:
    """Compiles, records, draws."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = ROOT / "tests/browser/shop.cpp"
        options = ["-std=gnu++17", "-O2", "-g", "-fno-optimize-sibling-calls"]
        options.append(f"-ffile-prefix-map={source.parent}=/src")
        subprocess.run(["c++", *options, "-o", "shop", str(source)], cwd=folder, check=True)
        _heaptide(folder, "run", "--exact", "-o", "shop.tide", "--", "./shop", str(SECONDS))
        for verb, option, output, *more in COMMANDS:
            _heaptide(folder, verb, "shop.tide", option, output, *more)
            (PICTURES / output).write_text((folder / output).read_text().replace(str(folder.resolve()), "/srv"))


if __name__ == "__main__":
    main()
