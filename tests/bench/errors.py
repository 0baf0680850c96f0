# SPDX-License-Identifier: Apache-2.0
"""What a user can act on; printed without a traceback."""


class BenchError(Exception):
    pass
