# SPDX-License-Identifier: Apache-2.0
"""The web interface: the report's page over a local server, with what needs one.

opener     what `cli` hands in: opens files, converts, finds source files. This room reads no file itself
shelf      the captures that are shown: state, last series and document of each
reader     the thread that looks at the files and reads them again when they changed
bell       wakes the event streams when the shelf changed
access     who may ask: the token of the address, the cookie, Host and Origin
gate       the same as ASGI: every request passes it, every answer gets its headers from it
answers    the API of docs/design/0012
source     a source file's lines with what each of them holds
server     binds, runs until told to end
"""
