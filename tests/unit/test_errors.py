# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from heaptide import HeaptideError, _errors

TREE = {
    _errors.UsageError: (2, "usage"),
    _errors.NothingToShow: (4, "nothing-to-show"),
    _errors.LaunchError: (125, "launch"),
    _errors.NotExecutable: (126, "not-executable"),
    _errors.NotFound: (127, "not-found"),
}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_exit_codes_and_hints(kind: type[HeaptideError]) -> None:
    error = kind("it went wrong", hint="mend it")
    assert (error.exit_code, error.slug) == TREE[kind]
    assert str(error) == "it went wrong\nmend it"
    assert str(kind("it went wrong")) == "it went wrong"


def test_the_drawing_shows_every_error() -> None:
    kinds = [kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, HeaptideError)]
    drawn = _errors.__doc__ or ""
    for kind in kinds[1:]:
        line = next(line for line in drawn.splitlines() if kind.__name__ in line)
        assert f" {kind.exit_code} " in line and f" {kind.slug} " in f"{line} ", line


def test_input_error_points_at_the_byte() -> None:
    error = _errors.InputError("a.tide", 32, "a record", found="zeros", hint="copy it again")
    assert str(error) == "a.tide: at byte 32: expected a record, found zeros\ncopy it again"
    assert (error.path, error.offset, error.exit_code) == ("a.tide", 32, 3)


def test_input_error_without_a_byte_gives_the_systems_reason() -> None:
    assert str(_errors.InputError("a.tide", None, "Permission denied")) == "a.tide: Permission denied"
