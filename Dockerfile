# SPDX-License-Identifier: Apache-2.0
# One image with the four programs; which one runs is said by its user.
#   docker build -t REGISTRY/eastwest:0.1.0 .

FROM debian:bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    build-essential ca-certificates cmake ninja-build pkg-config python3 \
    python3-pip python3-setuptools python3-wheel libuv1-dev libssl-dev \
    libnghttp2-dev libcurl4-openssl-dev libjansson-dev libyaml-dev libre2-dev \
    iptables
WORKDIR /eastwest
COPY . .
RUN cmake --preset release && cmake --build build/release
# The list of files is that of the image of the cluster for tests.
RUN PYTHONPATH=tests python3 -m cluster.rootfs build/release/bin /rootfs && \
    chroot /rootfs eastwest-controller --version && \
    chroot /rootfs eastwest-injector --version && \
    chroot /rootfs eastwest-sidecar --version && \
    chroot /rootfs eastwest-init --version

# Nothing else: no shell, no package manager, no certificates of others. The
# init container runs as root with two capabilities, because iptables gets none
# by its file; all the rest runs as this user or as the sidecar's.
FROM scratch
COPY --from=build /rootfs /
USER 65532:65532
