# SPDX-License-Identifier: Apache-2.0
"""Where programs and libraries of a profile are now: pprof's search below $PPROF_BINARY_PATH and ``--lib_prefix``.

In each directory, for a file /usr/lib/NAME of build id ID: ID/NAME, ID/*, usr/lib/NAME/ID, ID[:2]/ID[2:].debug, NAME,
usr/lib/NAME, usr/lib/NAME.debug, usr/lib/.debug/NAME.debug, usr/lib/debug/usr/lib/NAME.debug. A file whose build id is
another one is passed over, and said so.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from heaptide.cli.guard import say

if TYPE_CHECKING:
    from heaptide.model.columns import Columns, Mapped


def located(columns: Columns, directories: Sequence[Path]) -> Columns:
    """The profile with its mappings naming the files that were found; the others keep their names."""
    if not directories:
        return columns
    return replace(columns, mappings=tuple(_found(mapping, directories) for mapping in columns.mappings))


def _found(mapping: Mapped, directories: Sequence[Path]) -> Mapped:
    from heaptide.symbolize.files import Image, open_image

    for directory in directories:
        for path in _candidates(os.fspath(directory), mapping.file, mapping.build_id):
            image = open_image(path) if os.path.isfile(path) else None
            if not isinstance(image, Image):
                continue
            build_id = image.elf.build_id.hex()
            if not mapping.build_id or build_id == mapping.build_id:
                return replace(mapping, file=os.path.abspath(path))
            say(f"warning: {path} is another build ({build_id or 'no build id'}, not {mapping.build_id})")
    return mapping


def _candidates(directory: str, file: str, build_id: str) -> Iterator[str]:
    name, inside = os.path.basename(file), file.lstrip("/")
    folder = os.path.dirname(inside)
    if build_id:
        if name:
            yield os.path.join(directory, build_id, name)
        yield from sorted(glob.glob(os.path.join(glob.escape(directory), glob.escape(build_id), "*")))
        yield os.path.join(directory, inside, build_id)
        yield os.path.join(directory, build_id[:2], f"{build_id[2:]}.debug")
    if name:
        yield os.path.join(directory, name)
        yield os.path.join(directory, inside)
        yield os.path.join(directory, f"{inside}.debug")
        yield os.path.join(directory, folder, ".debug", f"{name}.debug")
        yield os.path.join(directory, "usr", "lib", "debug", folder, f"{name}.debug")
