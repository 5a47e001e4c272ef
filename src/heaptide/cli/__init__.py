# SPDX-License-Identifier: Apache-2.0
"""The command line: one command per file, loaded when it is asked for. `main.py` lists them."""
