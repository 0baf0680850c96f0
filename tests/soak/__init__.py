# SPDX-License-Identifier: Apache-2.0
"""Long runs in a cluster: what fails while things end, change or are away.

See docs/reliability.md."""
