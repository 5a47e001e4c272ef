# SPDX-License-Identifier: Apache-2.0
"""Hatchling's hook: compiles the native parts before a wheel is put together. What and how is in native/build.py."""

from __future__ import annotations

import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _load_native_build(root: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("heaptide_native_build", Path(root) / "native" / "build.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


class NativeBuildHook(BuildHookInterface[Any]):
    """Compiles libheaptide.so and heaptide-record into the package and tags the wheel py3-none-<platform>."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; `version` is "standard" or "editable"."""
        native = _load_native_build(self.root)
        for part in native.PARTS:
            # A warning that a newer compiler invents must not break a stranger's install; it does break ours.
            native.build(part, werror=version == "editable")
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
