"""Charts from a folder; and whether the autoscaler's grants what its program watches."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import ClusterError
from components.kubernetes.charts import Charts, autoscaler
from stacks.settings.aws import AwsAccount

# What the program of a version lists and watches, whatever it is told to do: all has to be there before it begins.
# Source, November 2026: kubernetes/autoscaler, tag cluster-autoscaler-1.35.0, below cluster-autoscaler:
# utils/kubernetes/listers.go, simulator/framework/handle.go, simulator/dynamicresources/provider/provider.go; and the
# scheduler's plugins in it, kubernetes/kubernetes, tag v1.35.0, pkg/scheduler/framework/plugins.
WATCHED = {
    "1.35": {
        *("pods", "nodes", "namespaces", "services", "replicationcontrollers"),
        *("persistentvolumes", "persistentvolumeclaims"),
        *("apps/daemonsets", "apps/replicasets", "apps/statefulsets"),
        "batch/jobs",
        "policy/poddisruptionbudgets",
        *("storage.k8s.io/csinodes", "storage.k8s.io/csidrivers", "storage.k8s.io/csistoragecapacities"),
        *("storage.k8s.io/storageclasses", "storage.k8s.io/volumeattachments"),
        *("resource.k8s.io/resourceclaims", "resource.k8s.io/resourceslices"),
        "resource.k8s.io/deviceclasses",
    }
}
_BEFORE = {
    *("pods", "nodes", "namespaces", "services", "replicationcontrollers", "configmaps"),
    *("persistentvolumes", "persistentvolumeclaims"),
    *("apps/daemonsets", "apps/replicasets", "apps/statefulsets"),
    *("batch/jobs", "batch/cronjobs", "extensions/replicasets", "extensions/daemonsets"),
    "policy/poddisruptionbudgets",
    *("storage.k8s.io/csinodes", "storage.k8s.io/csidrivers", "storage.k8s.io/csistoragecapacities"),
    *("storage.k8s.io/storageclasses", "storage.k8s.io/volumeattachments"),
}
# What the cluster role of a chart's version grants to list and to watch, on AWS. Source, November 2026:
# kubernetes/autoscaler, tags cluster-autoscaler-chart-…, charts/cluster-autoscaler/templates/clusterrole.yaml.
GRANTED = {
    "9.52.1": _BEFORE,
    "9.59.0": _BEFORE
    | {
        *("podtemplates", "apps/deployments"),
        *("resource.k8s.io/resourceclaims", "resource.k8s.io/resourceslices"),
        "resource.k8s.io/deviceclasses",
    },
}


def version_of(file: str) -> str:
    return file.removeprefix("cluster-autoscaler-").removesuffix(".tgz")


def test_the_autoscalers_chart_grants_all_that_its_program_watches() -> None:
    kubernetes = str(AwsAccount.model_fields["version"].default)
    chart = autoscaler(kubernetes)
    assert chart.image.endswith(f":v{kubernetes}.0")
    assert WATCHED[kubernetes] - GRANTED[version_of(chart.file)] == set()


def test_a_chart_from_before_does_not() -> None:
    assert WATCHED["1.35"] - GRANTED["9.52.1"] == {
        "resource.k8s.io/resourceclaims",
        "resource.k8s.io/resourceslices",
        "resource.k8s.io/deviceclasses",
    }


def test_charts_come_from_a_folder_by_the_names_that_helm_pull_gives_them(tmp_path: Path) -> None:
    for name in ("jobset-0.12.0.tgz", "kueue-0.19.2.tgz", "cluster-autoscaler-9.59.0.tgz"):
        (tmp_path / name).touch()
    found = Charts().pulled(str(tmp_path))
    assert found.jobset.reference == str(tmp_path / "jobset-0.12.0.tgz")
    assert found.kueue.reference == str(tmp_path / "kueue-0.19.2.tgz")
    assert (found.jobset.version, found.kueue.version) == ("", "")
    assert found.kueue.image == Charts().kueue.image
    assert Path(autoscaler("1.35").pulled(str(tmp_path)).reference).is_file()


def test_charts_that_are_not_there_are_named_with_the_commands_that_get_them_all(tmp_path: Path) -> None:
    folder = tmp_path / "my charts"
    jobset = "helm pull oci://registry.k8s.io/jobset/charts/jobset --version 0.12.0"
    kueue = "helm pull oci://registry.k8s.io/kueue/charts/kueue --version 0.19.2"
    with pytest.raises(ClusterError) as error:
        Charts().pulled(str(folder))
    into = f"--destination '{folder}'"
    commands = f"{jobset} {into} && {kueue} {into}"
    assert str(error.value) == f"cloud:charts: {folder} lacks jobset-0.12.0.tgz, kueue-0.19.2.tgz; {commands}"
    folder.mkdir()
    (folder / "jobset-0.12.0.tgz").touch()
    with pytest.raises(ClusterError, match=r"lacks kueue-0\.19\.2\.tgz; helm pull oci"):
        Charts().pulled(str(folder))
    archive = r"cluster-autoscaler-chart-9\.59\.0/cluster-autoscaler-9\.59\.0\.tgz"
    with pytest.raises(ClusterError, match=rf"helm pull https://\S+/{archive} --destination"):
        autoscaler("1.35").pulled(str(folder))
