import pytest
from newsletter import wait_for_post

from pq_testing import RunJobs


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.anyio
async def test_the_post_comes(run_jobs: RunJobs) -> None:
    await wait_for_post.defer_async(hours=0)
    run_jobs()
