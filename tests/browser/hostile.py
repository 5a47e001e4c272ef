# SPDX-License-Identifier: Apache-2.0
"""A leaking program whose names are chosen by an enemy: functions, source file, its own name and its arguments.

A compiler refuses such names, so it is given harmless ones of the same length, which are then exchanged in the file.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

MARK = "pwned"
"""What every attack would leave behind in the page: an attribute of `window`, an element of this name or a dialog."""

FUNCTIONS = (
    f"<script>window.{MARK}=1;alert(1)</script>",
    f'"><img src=x onerror="window.{MARK}=2;alert(2)"><{MARK}>',
    f"'-alert(3)-'</script><script>window.{MARK}=3</script><!--",
    f"--><svg onload=window.{MARK}=4></svg>]]></style><{MARK}>",
    f"${{window.{MARK}=5}}`{{{{constructor.constructor('alert(5)')()}}}}",
    f"javascript:window.{MARK}=6//\\u003cscript\\u003e&lt;b&gt;&amp;&#60;b&#62;",
    "two\nlines\r\nand\x1b]0;a title\x07\x1b[31mred\x1b[0m\ttab\u2028\u2029 \u202e\u200fbackwards",
    'digraph"];a->b[label="<b>"URL="javascript:alert(7)"',
    '=HYPERLINK("http://elsewhere.test/","=cmd|\' /C calc\'!A0")',
    "L" * 100_000 + "<",
)
SOURCE = f"<img src=x onerror=alert(8)><{MARK}>.c"
PROGRAM = f"<img src=x onerror=alert(9)><{MARK}>"
ARGUMENTS = ("<script>alert(10)</script>", "'\"`-->", "a\nb\x1b]0;t\x07")

_CODE = """
#include <stdlib.h>
#include <unistd.h>
#line 1 "{source}"
{functions}
int main(void) {{
  for (int i = 0; i < 100; i++) {{
    f0();
    usleep(25000);
  }}
}}
"""
_FUNCTION = """
void f{number}(void) __asm__("{label}");
__attribute__((noinline)) void f{number}(void) {{
  void *block = malloc({size});
  __asm__ volatile("" : : "r"(block) : "memory");
  {then}
}}
"""


def _harmless(text: str, number: int) -> str:
    """As many bytes as `text`, to be found again."""
    return f"harmless{number}".ljust(len(text.encode()), "_")


def compiled(folder: Path) -> Path:
    """The program. Its functions call one another in turn, so that one stack holds all of their names."""
    functions = []
    for number in reversed(range(len(FUNCTIONS))):
        then = f"f{number + 1}();" if number + 1 < len(FUNCTIONS) else ""
        label = _harmless(FUNCTIONS[number], number)
        functions.append(_FUNCTION.format(number=number, label=label, size=20_000 * (number + 1), then=then))
    names = (*FUNCTIONS, SOURCE)
    code = _CODE.format(source=_harmless(SOURCE, len(FUNCTIONS)), functions="".join(functions))
    (folder / "hostile.c").write_text(code)
    program = folder / PROGRAM
    words = ["cc", "-O1", "-g", "-fno-optimize-sibling-calls", "-o", str(program), str(folder / "hostile.c")]
    subprocess.run(words, check=True)
    data = program.read_bytes()
    for number, name in enumerate(names):
        harmless = _harmless(name, number).encode()
        assert harmless in data, "the compiler left the name out"
        data = data.replace(harmless, name.encode())
    program.write_bytes(data)
    return program
