# SPDX-License-Identifier: Apache-2.0
"""The long runs of ./dev soak, short."""
import pytest

from soak import outage, restarts, weights


def test_restarts_and_deletions(cluster):
    assert not restarts.run(cluster, 5, print)


@pytest.mark.parametrize("what", sorted(outage.OUTAGES))
def test_an_outage_of_a_minute(cluster, what):
    assert not outage.run(cluster, what, 1, print)


def test_new_weights_hold_within_a_second(cluster):
    assert not weights.run(cluster, 100, 3, print)
