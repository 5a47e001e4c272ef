# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a capture to records. No I/O, no symbols, no statistics."""

from heaptide.capture.reader import Damage, Recording, is_capture, read

__all__ = ["Damage", "Recording", "is_capture", "read"]
