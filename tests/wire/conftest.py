# SPDX-License-Identifier: Apache-2.0
"""Brokers for the tests of the wire: each test its own, unless its file says otherwise."""
import pytest

from brokers import BIN, FAST, Broker


@pytest.fixture
def start_broker(tmp_path):
    """start_broker(*flags, **environment): a broker of this test's own; how it ends is looked at."""
    if not BIN.exists():
        pytest.skip(f"{BIN} is not built")
    brokers = []

    def start(*flags, **environment):
        brokers.append(Broker(tmp_path / "state", **environment))
        return brokers[-1].start(*flags)
    yield start
    for broker in brokers:
        if broker.alive():
            assert broker.end() == 0
        broker.process.stdout.close()


@pytest.fixture
def broker(start_broker):
    return start_broker()


@pytest.fixture
def hasty(start_broker):
    """A broker that takes silence for loss after some seconds."""
    return start_broker(**FAST)
