from __future__ import annotations

import pytest

from jobs.registry import JOBS, job_named
from operators.errors import ConfigurationError


@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_found_by_its_name(name: str):
    assert job_named(name).name == name


def test_another_name_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigurationError, match="there is no job 'mmtrial'; there are mmtrail, gesx"):
        job_named("mmtrial")
