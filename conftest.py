"""With CI=true a skipped test is a failed one, unless its reason is on the short list below."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Generator

    from xdist.remote import Producer

pytest_plugins = ["lab.fixtures"]

# What continuous integration really lacks; a skip's reason begins with one of these words.
_ALLOWED_IN_CI = (
    "needs a GPU",  # the runners have none
    "root may read everything",  # the runners are root, for whom no file is unreadable
    "needs npm",  # one client library is tried with Node.js, which Debian packages in 300 parts
    "needs systemd",  # nor is systemd their first process; the supervisor variant of the same test runs
)


# What shares something dear goes to one worker: one cluster, one AWS, one deployment, the hosts of a lab.
_TOGETHER = {
    "tests/end_to_end/test_s2_shipped.py": "the cluster",  # one of its own, before that of all others is there
    "tests/end_to_end/test_s4_cloud_serving.py": "the cluster",
    "tests/end_to_end/test_s4_drift.py": "the cluster",
    "tests/end_to_end/test_s2_cloud_training.py": "the cluster",
    "tests/end_to_end/test_s2_own_cluster.py": "the cluster",
    "tests/end_to_end/test_drift_by_report.py": "the cluster",
    "tests/components/kubernetes/test_training_in_a_cluster.py": "the cluster",
    "tests/components/kubernetes/test_in_a_cluster.py": "the cluster",
    "tests/lab/kubernetes/": "the cluster",
    "tests/end_to_end/test_s3_local_faults.py": "a small deployment",
    "tests/end_to_end/test_several_stacks.py": "a small deployment",
    "tests/lab/aws/": "AWS",
    "tests/ansible/hosts/": "hosts",
    "tests/ansible/site/": "site",
}

# By what they cost (docs/tests.md), the rest as the dice fell: who begins the longest last keeps the others
# waiting. All that needs the cluster is the longest, so it begins at once, on one worker.
_LONGEST_FIRST = (
    *(path for path, shared in _TOGETHER.items() if shared == "the cluster"),
    "tests/end_to_end/test_premises_hosts.py",
    "tests/end_to_end/",
    "tests/ansible/site/",
    "tests/ansible/hosts/",
    "tests/ansible/test_site.py",
    "tests/ansible/test_sites.py",
    "tests/components/test_stack.py",
    "tests/lab/",
    "tests/ansible/",
    "tests/components/",
    "tests/model/train/",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that take minutes begin first; workers take what comes next."""

    def place(item: pytest.Item) -> int:
        found = (i for i, part in enumerate(_LONGEST_FIRST) if item.nodeid.startswith(part))
        return next(found, len(_LONGEST_FIRST))

    items.sort(key=place)


_LABS: list[tuple[pytest.FixtureDef[object], pytest.FixtureRequest]] = []


def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest) -> None:
    """Remember the lab of the session, whose cluster takes a seventh of a processor from all others even idle."""
    if fixturedef.argname == "lab":
        _LABS.append((fixturedef, request))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Let it go as soon as no test after this one shares it."""
    shared = (path for path, what in _TOGETHER.items() if what == "the cluster")
    if not (nextitem and nextitem.nodeid.startswith(tuple(shared))):
        while _LABS:
            definition, request = _LABS.pop()
            definition.finish(request)  # type: ignore[arg-type]  # a SubRequest, which pytest does not export


class _ByModule(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    def _split_scope(self, nodeid: str) -> str:
        module: str = super()._split_scope(nodeid)
        return next((shared for path, shared in _TOGETHER.items() if nodeid.startswith(path)), module)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give the workers whole modules."""
    return _ByModule(config, log)


def _refuse_silent_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return
    detail = report.longrepr
    reason = str(detail[2] if isinstance(detail, tuple) else detail).removeprefix("Skipped: ")
    if not reason.startswith(_ALLOWED_IN_CI):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped in continuous integration: {reason}\nAllowed reasons: {_ALLOWED_IN_CI} ({__file__})"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of one test into a failure that tells its reason."""
    report = yield
    _refuse_silent_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a skip of a whole module."""
    report = yield
    _refuse_silent_skip(report)
    return report
