# SPDX-License-Identifier: Apache-2.0
"""Measurements: what the tool costs (`python -m bench`, see `__main__`), and how right it is (the modules run by name).

The table of costs is made by `forms` (the ways to run a program), `running` (one run, and what it cost), `figures`
(statistics and text) and the rows: `pairs`, `programs`, `upkeep`. `against_tcmalloc`, `error_bars` and `symbols` are
measurements of their own: `python -m bench.NAME`.
"""
