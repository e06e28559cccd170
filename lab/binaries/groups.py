"""Table of the programs. A group is a release of one upstream project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Where a project publishes its programs; `{version}` and `{arch}` are replaced in every field.

    `files` are the programs, in the group's order; or one archive with `members`.
    """

    base: str
    files: tuple[str, ...]
    checksums: str
    """The file with the SHA-256; `{file}` is replaced by the name of the file it covers."""
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Programs of one version; `go/<name>/` is the Go module that pins their sources."""

    version: str
    programs: tuple[str, ...]
    module: str = ""
    """The upstream Go module, at that version; empty for our own."""
    expected: str = "about a minute the first time"
    tags: str = ""
    linked: tuple[str, ...] = ()
    cgo: bool = False
    charts: str = ""
    """The upstream module's folder of charts; copied to `charts/`."""
    minimum: tuple[int, ...] = ()
    """The oldest release accepted from PATH; empty: PATH is not searched."""
    release: Release | None = None
    """None if the project publishes no programs with checksums."""
    asked_for: bool = False
    """Whether only those get it who ask for it by name, as `make soak` does."""


_GITHUB = "https://github.com"
_K8S = "k8s.io/component-base/version"
_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)

GROUPS: dict[str, Group] = {
    # Not from PATH: all six must have the same version, and a kubectl on PATH is the user's own.
    "kubernetes": Group(
        version="1.36.3",
        module="k8s.io/kubernetes",
        programs=_KUBERNETES,
        tags="selinux,notest,grpcnotrace",
        linked=tuple(
            f"{package}.{stamp}"
            for package in (_K8S, "k8s.io/client-go/pkg/version")
            for stamp in ("gitVersion=v{version}", "gitMajor=1", "gitMinor=36", "gitTreeState=archive")
        ),
        expected="about 8 minutes the first time on two cores",
        release=Release(
            base="https://dl.k8s.io/release/v{version}/bin/linux/{arch}",
            files=_KUBERNETES,
            checksums="{file}.sha256",
        ),
    ),
    "etcd": Group(
        version="3.6.6",
        module="go.etcd.io/etcd/server/v3",
        programs=("etcd",),
        minimum=(3, 6),
        release=Release(
            base=f"{_GITHUB}/etcd-io/etcd/releases/download/v{{version}}",
            files=("etcd-v{version}-linux-{arch}.tar.gz",),
            checksums="SHA256SUMS",
            members=("etcd-v{version}-linux-{arch}/etcd",),
        ),
    ),
    # Without the snapshotters that need kernel modules or C libraries: the lab uses overlayfs.
    "containerd": Group(
        version="2.4.2",
        module="github.com/containerd/containerd/v2",
        programs=("containerd", "containerd-shim-runc-v2", "ctr"),
        tags="urfave_cli_no_docs,osusergo,netgo,static_build,no_btrfs,no_devmapper,no_zfs",
        linked=("github.com/containerd/containerd/v2/version.Version=v{version}",),
        expected="about 2 minutes the first time",
        minimum=(2, 1),
        release=Release(
            base=f"{_GITHUB}/containerd/containerd/releases/download/v{{version}}",
            files=("containerd-{version}-linux-{arch}.tar.gz",),
            checksums="{file}.sha256sum",
            members=("bin/containerd", "bin/containerd-shim-runc-v2", "bin/ctr"),
        ),
    ),
    # 1.1 fails on current kernels. libpathrs is a Rust library that is rarely installed.
    "runc": Group(
        version="1.5.2",
        module="github.com/opencontainers/runc",
        programs=("runc",),
        tags="seccomp,libpathrs_none",
        cgo=True,
        minimum=(1, 2),
        release=Release(
            base=f"{_GITHUB}/opencontainers/runc/releases/download/v{{version}}",
            files=("runc.{arch}",),
            checksums="runc.sha256sum",
        ),
    ),
    "cni": Group(
        version="1.9.0",
        module="github.com/containernetworking/plugins",
        programs=("bridge", "host-local", "loopback", "portmap"),
        linked=("github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v{version}",),
        release=Release(
            base=f"{_GITHUB}/containernetworking/plugins/releases/download/v{{version}}",
            files=("cni-plugins-linux-{arch}-v{version}.tgz",),
            checksums="{file}.sha256",
            members=("bridge", "host-local", "loopback", "portmap"),
        ),
    ),
    "coredns": Group(
        version="1.15.0",
        module="github.com/coredns/coredns",
        programs=("coredns",),
        tags="grpcnotrace",
        expected="about 3 minutes the first time",
        release=Release(
            base=f"{_GITHUB}/coredns/coredns/releases/download/v{{version}}",
            files=("coredns_{version}_linux_{arch}.tgz",),
            checksums="{file}.sha256",
            members=("coredns",),
        ),
    ),
    "jobset": Group(
        version="0.12.0",
        module="sigs.k8s.io/jobset",
        programs=("manager",),
        linked=("sigs.k8s.io/jobset/pkg/version.GitVersion=v{version}",),
        charts="charts/jobset",
        expected="about 2 minutes the first time",
    ),
    "kueue": Group(
        version="0.19.2",
        module="sigs.k8s.io/kueue",
        programs=("manager",),
        linked=("sigs.k8s.io/kueue/pkg/version.GitVersion=v{version}",),
        charts="charts/kueue",
        expected="about 5 minutes the first time",
    ),
    "kwok": Group(
        version="0.8.0",
        module="sigs.k8s.io/kwok",
        programs=("kwok",),
        linked=("sigs.k8s.io/kwok/pkg/consts.Version={version}",),
        expected="about 3 minutes the first time",
        minimum=(0, 8),
    ),
    "helm": Group(
        version="4.3.1",
        module="helm.sh/helm/v4",
        programs=("helm",),
        linked=("helm.sh/helm/v4/internal/version.version=v{version}",),
        expected="about 2 minutes the first time",
        minimum=(4,),
        release=Release(
            base="https://get.helm.sh",
            files=("helm-v{version}-linux-{arch}.tar.gz",),
            checksums="{file}.sha256sum",
            members=("linux-{arch}/helm",),
        ),
    ),
    "keda": Group(
        version="2.21.0",
        module="github.com/kedacore/keda/v2",
        programs=("adapter", "operator"),
        linked=("github.com/kedacore/keda/v2/version.Version={version}",),
        charts="config",
        expected="about 6 minutes the first time",
        asked_for=True,
    ),
    "envoy-gateway": Group(
        version="1.9.1",
        module="github.com/envoyproxy/gateway",
        programs=("envoy-gateway",),
        linked=("github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion=v{version}",),
        charts="charts/gateway-helm",
        expected="about 4 minutes the first time",
        asked_for=True,
    ),
    "pause": Group(version="1", programs=("pause",), expected="a few seconds"),
    "device-plugin": Group(version="1", programs=("device-plugin",), expected="about 10 seconds"),
}
