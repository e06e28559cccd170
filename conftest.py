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
    "needs systemd",  # nor is systemd their first process; the supervisor variant of the same test runs
)


# Whole deployments, then the rest as the dice fell: who begins the longest last keeps all the others waiting.
_LONGEST_FIRST = (
    "tests/end_to_end/",
    "tests/ansible/hosts/",
    "tests/lab/kubernetes/",
    "tests/ansible/test_site.py",
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


# Folders whose tests share what is dear: one cluster, one AWS, one lab. Each goes to one worker.
_TOGETHER = {
    "tests/end_to_end/test_s2_cloud_training.py": "the cluster",
    "tests/end_to_end/test_s2_own_cluster.py": "the cluster",
    "tests/components/kubernetes/test_in_a_cluster.py": "the cluster",
    "tests/components/kubernetes/test_training_in_a_cluster.py": "the cluster",
    "tests/lab/kubernetes/": "the cluster",
    "tests/lab/aws/": "AWS",
    "tests/ansible/hosts/": "hosts",
    "tests/ansible/site/": "site",
}


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
