# SPDX-License-Identifier: Apache-2.0
"""The terminal view of `heaptide live`. It is handed a recording that it may ask for again, and draws; see `seams`."""
