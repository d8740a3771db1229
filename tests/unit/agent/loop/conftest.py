"""A whole group in virtual time, as most tests here begin with one."""

import pytest
from simulation.managed_group import Group
from support.effort import seeds


@pytest.fixture(params=seeds(4))
def group(request: pytest.FixtureRequest) -> Group:
    group = Group(seed=request.param)
    assert group.run_until(lambda: group.whole, 60) is not None, group.log
    group.run(1)
    return group
