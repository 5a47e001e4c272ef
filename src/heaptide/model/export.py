# SPDX-License-Identifier: Apache-2.0
"""Profiles as tables of other packages. Both are imported only when asked for: neither is a dependency."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heaptide.model.profile import Profile

if TYPE_CHECKING:
    import pandas
    import pyarrow


def columns_of(profile: Profile) -> dict[str, Any]:
    """The numeric columns by name: `stack_id` (when there are ids), the values, `<value>_error` when sampled."""
    columns: dict[str, Any] = {} if profile.ids is None else {"stack_id": profile.ids}
    columns |= profile.values
    if profile.mode == "sampled":
        columns |= {f"{value}_error": profile.errors(value) for value in profile.values}
    return columns


def to_arrow(profile: Profile) -> "pyarrow.Table":
    """See `Profile.to_arrow`."""
    import pyarrow as pa

    frame_type = pa.struct(
        [
            ("function", pa.string()),
            ("file", pa.string()),
            ("line", pa.int32()),
            ("module", pa.string()),
            ("address", pa.uint64()),
            ("inlined", pa.bool_()),
            ("unresolved", pa.string()),
            ("role", pa.string()),
        ]
    )
    frames = [asdict(frame) for frame in profile.stacks.frames]
    stacks = [[frames[index] for index in stack] for stack in profile.stacks.stacks]
    columns = {name: pa.array(column) for name, column in columns_of(profile).items()}
    return pa.table(columns | {"stack": pa.array(stacks, pa.list_(frame_type))})


def to_pandas(profile: Profile) -> "pandas.DataFrame":
    """See `Profile.to_pandas`."""
    import pandas as pd

    table = pd.DataFrame(columns_of(profile))
    table["stack"] = pd.Series([profile.frames_of(row) for row in range(len(profile))], dtype=object)
    return table
