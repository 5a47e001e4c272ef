# SPDX-License-Identifier: Apache-2.0
"""Known leaks: LeakSanitizer's suppression files.

    # why it is left alone
    leak:make_session
    leak:*/libfoo.so

Each line is `leak:` and a template in which `*` stands for anything, `^` and `$` for the ends; without those it may
stand anywhere. It is held against the function, the source file and the module of every frame (sanitizer_common's
suppression rules). Lines that begin with `#` are comments; the comment above a rule is shown beside what it suppresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from heaptide._errors import InputError
from heaptide.model import Frame

_KIND = "leak"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a file."""

    template: str
    pattern: re.Pattern[str]
    comment: str
    """The comment lines right above it, joined."""

    @property
    def words(self) -> str:
        """The rule and why it is there."""
        return f"{_KIND}:{self.template}" + (f" ({self.comment})" if self.comment else "")


def parse(text: str, path: str) -> list[Rule]:
    """The rules of a file. InputError, with the byte, for a line that is none."""
    rules, comment, offset = [], [], 0
    for raw in text.splitlines(keepends=True):
        line = raw.strip()
        if line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif not line:
            comment = []
        else:
            kind, colon, template = line.partition(":")
            if kind != _KIND or not colon or not template:
                raise InputError(path, offset, f"{_KIND}:TEMPLATE", found=repr(line))
            rules.append(Rule(template, _pattern(template), " ".join(comment)))
            comment = []
        offset += len(raw.encode())
    return rules


def matching(rules: Sequence[Rule], stack: Sequence[Frame]) -> str | None:
    """The first rule that names a frame of the stack, in words; None when there is none."""
    for rule in rules:
        for frame in stack:
            texts = (frame.function, frame.file, frame.module)
            if any(text is not None and rule.pattern.search(text) for text in texts):
                return rule.words
    return None


def _pattern(template: str) -> re.Pattern[str]:
    begins, ends = template.startswith("^"), template.endswith("$")
    middle = template[begins : len(template) - ends]
    body = ".*".join(re.escape(part) for part in middle.split("*"))
    return re.compile(("^" if begins else "") + body + ("$" if ends else ""))
