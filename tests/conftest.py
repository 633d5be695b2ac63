"""Fixtures that every test may use."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.hub_server import Hub, hub_server
from tests.s3_servers import S3Server, moto_server, rclone_server
from tests.tiny.smplx_body import write_smplx_body

settings.register_profile("rushes", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rushes")  # how long an example takes says how busy the machine is

SHARED_MEDIA = Path(__file__).parents[2] / "shared" / "media"

RAY_IS_SHARED = pytest.StashKey[bool]()
"""Set while the session's own Ray runs in this process (`ray_session` in tests/pipeline)."""

MINUTES = {
    "test_run_killed.py",
    "test_mmtrail_base.py",
    "test_gesx_base.py",
    "test_whole_jobs.py",
    "test_scene.py",
    "test_run.py",
    "test_run_on_s3.py",
}
"""Test files that take a minute or more, beside those with the marker `cluster` or `slow`."""


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start, also where a shell runs the tests in its background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: of two processes, one would otherwise wait at the end for the other's last long file."""
    long = MINUTES | {
        item.path.name for item in items if item.get_closest_marker("cluster") or item.get_closest_marker("slow")
    }
    items.sort(key=lambda item: item.path.name not in long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fail a test that leaves Ray running in this process: the next one that starts its own would fail for it."""
    yield
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized() or item.config.stash.get(RAY_IS_SHARED, False):
        return
    ray.shutdown()
    pytest.fail(f"{item.nodeid} left Ray running in this process: use the fixture ray_session, or shut it down")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """The folder of real test media beside the checkout; skips where it is absent."""
    if not SHARED_MEDIA.is_dir():
        pytest.skip("real test media are not beside this checkout (../shared/media)")
    return SHARED_MEDIA


@pytest.fixture(scope="session")
def smplx_body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A body model in SMPL-X's file format, made by `tests.tiny.smplx_body`. Copy it before changing it."""
    return write_smplx_body(tmp_path_factory.mktemp("smplx"))


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """An S3 server that keeps conditional writes."""
    with moto_server() as server:
        yield server


@pytest.fixture(scope="session")
def rclone() -> Iterator[S3Server]:
    """An S3 server that ignores conditional writes; skips where rclone has no binary."""
    with rclone_server() as server:
        yield server


@pytest.fixture
def s3_bucket(request: pytest.FixtureRequest, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """`s3://…` of a new bucket on moto, with the environment set for this process and its children.

    Its name hangs on the test's, so that seeded faults befall the same requests each time.
    """
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{moto.new_bucket(f'b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}')}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A model hub on loopback that this process and its children use, with an empty cache in `tmp_path / "hub"`."""
    constants = pytest.importorskip("huggingface_hub.constants")
    cache = tmp_path / "hub"
    with hub_server() as server:
        for name, value in server.environment(str(cache)).items():
            monkeypatch.setenv(name, value)
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server
        pytest.importorskip("huggingface_hub.utils").close_session()
