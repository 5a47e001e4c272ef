# SPDX-License-Identifier: Apache-2.0
"""The nouns: frames, stacks, profiles, snapshots, series. They know nobody but `_types` and `_errors`."""

from heaptide.model.profile import VALUES, Profile, merge
from heaptide.model.roles import Role, role_of
from heaptide.model.series import Series, Source
from heaptide.model.snapshot import Snapshot
from heaptide.model.survivors import Survivors
from heaptide.model.tables import Frame, StackTable, StackTableBuilder

__all__ = [
    "VALUES",
    "Frame",
    "Profile",
    "Role",
    "Series",
    "Snapshot",
    "Source",
    "StackTable",
    "StackTableBuilder",
    "Survivors",
    "merge",
    "role_of",
]
