// SPDX-License-Identifier: Apache-2.0
// version.h: the version of agent and recorder. tests/test_exports.py holds it equal to the Python package's.
#ifndef HEAPTIDE_VERSION_H
#define HEAPTIDE_VERSION_H

#define HT_VERSION "0.1.0"

#endif
