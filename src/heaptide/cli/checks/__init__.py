# SPDX-License-Identifier: Apache-2.0
"""What `doctor` looks at: one function a question, each of which returns findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "problem"]
"""ok: as it should be; warn: the profile will be worse for it; problem: there will be no profile."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: how bad it is, what was asked (a word for scripts), what was found, what to do about it."""

    level: Level
    check: str
    message: str
    hint: str | None = None
