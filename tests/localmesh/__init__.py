# SPDX-License-Identifier: Apache-2.0
"""A service mesh on one machine: Kubernetes manifests, network namespaces."""
