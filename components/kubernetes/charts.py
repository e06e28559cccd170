"""JobSet, Kueue and the Cluster Autoscaler from their official charts, pinned; or from a mirror or folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as k8s

from components.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The autoscaler's is 9.54.1 at least: earlier ones do not grant resource.k8s.io, without which 1.35 never begins.
_JOBSET_VERSION, _KUEUE_VERSION, _AUTOSCALER_VERSION = "0.12.0", "0.19.2", "9.59.0"
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart and the image of its controller.

    Attributes:
        reference: `oci://…` or the URL of an archive, also read in every preview, or the path of a folder or archive
            on this machine.
        version: of a chart in a registry; empty for a URL or path.
        image: the controller's, `repository:tag`.
        values: further overrides of the chart's values.

    """

    reference: str
    version: str
    image: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name that `helm pull` gives to its archive."""
        last = self.reference.rpartition("/")[2]
        return f"{last}-{self.version}.tgz" if self.version else last

    def pulled(self, folder: str) -> Chart:
        """Return the same chart, as `helm pull` put it into a folder on this machine. Raises ClusterError."""
        check_pulled([self], folder)
        return replace(self, reference=str(Path(folder, self.file)), version="")


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Charts that a platform installs, for a cluster without them.

    Attributes:
        jobset: sets of jobs.
        kueue: their queues.

    """

    jobset: Chart = Chart(
        reference="oci://registry.k8s.io/jobset/charts/jobset",
        version=_JOBSET_VERSION,
        image=f"registry.k8s.io/jobset/jobset:v{_JOBSET_VERSION}",
    )
    kueue: Chart = Chart(
        reference="oci://registry.k8s.io/kueue/charts/kueue",
        version=_KUEUE_VERSION,
        image=f"registry.k8s.io/kueue/kueue:v{_KUEUE_VERSION}",
    )

    @property
    def images(self) -> list[str]:
        """The images of both controllers."""
        return [self.jobset.image, self.kueue.image]

    def mirrored(self, registry: str) -> Charts:
        """Return the same charts with both images in another registry, at the same path."""
        return Charts(
            jobset=replace(self.jobset, image=mirrored(self.jobset.image, registry)),
            kueue=replace(self.kueue, image=mirrored(self.kueue.image, registry)),
        )

    def pulled(self, folder: str) -> Charts:
        """Return the same charts, as `helm pull` put them into a folder on this machine. Raises ClusterError."""
        check_pulled([self.jobset, self.kueue], folder)
        return Charts(jobset=self.jobset.pulled(folder), kueue=self.kueue.pulled(folder))


def check_pulled(charts: Sequence[Chart], folder: str) -> None:
    """Refuse a folder on this machine without the archives of these charts.

    Raises:
        ClusterError: some are not there; it has the commands that get them all.

    """
    missing = [each for each in charts if not Path(folder, each.file).is_file()]
    if missing:
        where = shlex.quote(folder)
        commands = [
            f"helm pull {each.reference}{f' --version {each.version}' if each.version else ''} --destination {where}"
            for each in missing
        ]
        files = ", ".join(each.file for each in missing)
        raise ClusterError(f"cloud:charts: {folder} lacks {files}; {' && '.join(commands)}")


def mirrored(image: str, registry: str) -> str:
    """Return an image's name in a mirror registry."""
    return f"{registry}/{image.partition('/')[2]}"


def install(charts: Charts, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Declare both releases. Kueue comes last: until it runs, its webhook refuses other pods."""
    jobset = _release("jobset", charts.jobset, {"image": _image(charts.jobset)}, opts)
    after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[jobset]))
    manager = {"controllerManager": {"manager": {"image": _image(charts.kueue)}}}
    return [jobset, _release("kueue", charts.kueue, manager, after)]


AUTOSCALER = ("cluster-autoscaler-system", "cluster-autoscaler")
"""The autoscaler's namespace and service account, which get its cloud permissions."""


def autoscaler(version: str) -> Chart:
    """Return the autoscaler for a Kubernetes version: their minor versions must match."""
    where = "https://github.com/kubernetes/autoscaler/releases/download"
    archive = f"cluster-autoscaler-chart-{_AUTOSCALER_VERSION}/cluster-autoscaler-{_AUTOSCALER_VERSION}.tgz"
    return Chart(
        reference=f"{where}/{archive}",
        version="",
        image=f"registry.k8s.io/autoscaling/cluster-autoscaler:v{version}.0",
    )


def scale_nodes(chart: Chart, cluster: str, region: str, opts: pulumi.ResourceOptions) -> k8s.helm.v3.Release:
    """Declare an EKS cluster's autoscaler: it adds nodes to managed groups for pending pods, and removes
    nodes that are idle for ten minutes, within each group's limits."""
    values = {
        "fullnameOverride": AUTOSCALER[1],
        "image": _image(chart),
        "awsRegion": region,
        "autoDiscovery": {"clusterName": cluster},
        "rbac": {"serviceAccount": {"name": AUTOSCALER[1]}},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containerSecurityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "50m", "memory": "300Mi"}, "limits": {"memory": "600Mi"}},
    }
    return _release(AUTOSCALER[1], chart, values, opts)


def _release(
    name: str, chart: Chart, values: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> k8s.helm.v3.Release:
    return k8s.helm.v3.Release(
        name,
        name=name,
        namespace=f"{name}-system",
        create_namespace=True,
        chart=chart.reference,
        version=chart.version or None,
        values=_merged(values, chart.values),
        timeout=_SECONDS,
        opts=opts,
    )


def _image(chart: Chart) -> dict[str, str]:
    repository, _, tag = chart.image.rpartition(":")
    return {"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}


def _merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {**values, **over}
    return {
        key: _merged(values[key], over[key])
        if isinstance(values.get(key), dict) and isinstance(over.get(key), dict)
        else value
        for key, value in both.items()
    }
