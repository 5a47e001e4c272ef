# SPDX-License-Identifier: Apache-2.0
"""`python -m heaptide` is `heaptide`."""

from heaptide.cli.main import main

if __name__ == "__main__":
    main()
