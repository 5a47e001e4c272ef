# SPDX-License-Identifier: Apache-2.0
"""From a Profile or a Series to one frozen result each. Knows no files, symbols or output formats."""
