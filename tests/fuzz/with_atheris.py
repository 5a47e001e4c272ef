# SPDX-License-Identifier: Apache-2.0
"""One reader under atheris (libFuzzer for Python): `python -m tests.fuzz.with_atheris READER [libFuzzer's options]`.

bench/fuzz_formats.py runs all of them and counts.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["heaptide.formats", "heaptide.model.columns"]):
    import heaptide.formats
    from tests.fuzz import readers


def main() -> None:
    name = sys.argv.pop(1)
    assert heaptide.formats and name in readers.TARGETS_TO_READ, f"no reader {name}"

    def one_input(data: bytes) -> None:
        readers.run(name, data)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
