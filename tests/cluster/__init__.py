# SPDX-License-Identifier: Apache-2.0
"""A real single-node Kubernetes in a network namespace of its own."""

# What Debian has of it; everything else is built from tools/go.mod.
PACKAGES = ("etcd-server", "containerd", "runc", "containernetworking-plugins",
            "iptables", "ipset", "conntrack", "iproute2", "util-linux", "mount",
            "gcc", "libc6-dev", "python3", "python3-cryptography",
            "python3-yaml")
