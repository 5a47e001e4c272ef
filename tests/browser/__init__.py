# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser. A package, so that its browser is gone before the next folder's tests begin."""
