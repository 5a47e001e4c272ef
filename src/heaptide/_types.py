# SPDX-License-Identifier: Apache-2.0
"""Numbers with a meaning of their own. Two of them cannot be mixed up without mypy saying so."""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", int)
"""A runtime address in the recorded process, as found on its stack (a return address: look up `address - 1`)."""

FileOffset = NewType("FileOffset", int)
"""A virtual address as the ELF file numbers it: runtime address minus the module's bias."""

StackId = NewType("StackId", int)
"""The number of a stack in one capture. Ids below 16 name no stack (`enum ht_special_id` of native/books.h)."""
