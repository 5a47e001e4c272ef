# SPDX-License-Identifier: Apache-2.0
"""Foreign profile files: one module per format, reader and writer together, no I/O."""
