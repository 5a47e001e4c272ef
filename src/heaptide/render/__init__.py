# SPDX-License-Identifier: Apache-2.0
"""From results to text, JSON, DOT and pictures. A renderer takes one frozen result and returns text or bytes."""
