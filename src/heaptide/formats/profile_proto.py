# SPDX-License-Identifier: Apache-2.0
"""The messages of profile.proto (package perftools.profiles), as classes of the protobuf library.

They are described here and not generated: generated code demands a protobuf at least as new as its generator. Numbers
and types are those of google/pprof's proto/profile.proto, with one difference: strings are `bytes`, because files
exist whose names are no UTF-8, and a reader that refuses them helps nobody.

`profile_class(packed=True)` sees the two lists of a sample as the bytes that they are packed into: numpy takes them
apart ten times faster than they come out of a message one by one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_PACKAGE = "heaptide.profiles"

# message -> fields in the order of their numbers, from 1. "*": repeated. A capital letter begins a message's name.
_MESSAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "ValueType": (("type", "int64"), ("unit", "int64")),
    "Label": (("key", "int64"), ("str", "int64"), ("num", "int64"), ("num_unit", "int64")),
    "Sample": (("location_id", "uint64*"), ("value", "int64*"), ("label", "Label*")),
    "Mapping": (
        ("id", "uint64"),
        ("memory_start", "uint64"),
        ("memory_limit", "uint64"),
        ("file_offset", "uint64"),
        ("filename", "int64"),
        ("build_id", "int64"),
        ("has_functions", "bool"),
        ("has_filenames", "bool"),
        ("has_line_numbers", "bool"),
        ("has_inline_frames", "bool"),
    ),
    "Line": (("function_id", "uint64"), ("line", "int64"), ("column", "int64")),
    "Location": (
        ("id", "uint64"),
        ("mapping_id", "uint64"),
        ("address", "uint64"),
        ("line", "Line*"),
        ("is_folded", "bool"),
    ),
    "Function": (
        ("id", "uint64"),
        ("name", "int64"),
        ("system_name", "int64"),
        ("filename", "int64"),
        ("start_line", "int64"),
    ),
    "Profile": (
        ("sample_type", "ValueType*"),
        ("sample", "Sample*"),
        ("mapping", "Mapping*"),
        ("location", "Location*"),
        ("function", "Function*"),
        ("string_table", "bytes*"),
        ("drop_frames", "int64"),
        ("keep_frames", "int64"),
        ("time_nanos", "int64"),
        ("duration_nanos", "int64"),
        ("period_type", "ValueType"),
        ("period", "int64"),
        ("comment", "int64*"),
        ("default_sample_type", "int64"),
        ("doc_url", "int64"),
    ),
}


_PACKED_SAMPLE = (("location_id", "bytes"), ("value", "bytes"), ("label", "Label*"))


@cache
def profile_class(*, packed: bool = False) -> Any:
    """The class of the message Profile. The library is loaded by the first call.

    With ``packed`` it is for reading only, and only for files whose lists are packed, each in one piece: of others it
    keeps a part.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="profile.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in (_MESSAGES | ({"Sample": _PACKED_SAMPLE} if packed else {})).items():
        message = file.message_type.add(name=name)
        for number, (field_name, kind) in enumerate(fields, start=1):
            field = message.field.add(name=field_name, number=number, label=kinds.LABEL_OPTIONAL)
            if kind.endswith("*"):
                field.label = kinds.LABEL_REPEATED
            base = kind.rstrip("*")
            if base in _MESSAGES:
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".{_PACKAGE}.{base}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{base.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Profile"))
