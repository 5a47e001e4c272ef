# SPDX-License-Identifier: Apache-2.0
"""The page: one document, drawn by the front end (docs/design/0012-the-page.md)."""
