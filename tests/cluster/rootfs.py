# SPDX-License-Identifier: Apache-2.0
"""The files of Eastwest's image: the one list for the Dockerfile, which calls
this module, and for the archive of the cluster for tests."""

import glob
import os
import shutil
import sys

from . import images

PROGRAMS = ("eastwest-init", "eastwest-sidecar", "eastwest-controller",
            "eastwest-injector")
SBIN = "/usr/sbin"
# What eastwest-init calls, and the program that each is.
TABLES = {"nft": "xtables-nft-multi", "legacy": "xtables-legacy-multi"}
# All matches and targets: rules of others have to be read as well.
MODULES = ("libxt_*.so", "libipt_*.so", "libip6t_*.so")
USER = "65532:65532"
NSSWITCH = b"hosts: files dns\n"


def _modules():
    for folder in ("/usr/lib/*/xtables", "/usr/lib/xtables"):
        found = [path for name in MODULES
                 for path in glob.glob(f"{folder}/{name}")]
        if found:
            return found
    raise FileNotFoundError("xtables modules: install the package iptables")


def files(binaries):
    """Path in the image: path here, bytes, or images.Link. binaries is the
    folder with the programs of a release build."""
    found = {f"/usr/bin/{name}": f"{binaries}/{name}" for name in PROGRAMS}
    for variant, program in TABLES.items():
        found[f"{SBIN}/{program}"] = f"{SBIN}/{program}"
        for family in ("iptables", "ip6tables"):
            for use in ("restore", "save"):
                found[f"{SBIN}/{family}-{variant}-{use}"] = images.Link(program)
    modules = _modules()
    found.update({path: path for path in modules})
    found.update(images.libraries(
        *(f"{binaries}/{name}" for name in PROGRAMS[2:]),
        *(f"{SBIN}/{program}" for program in TABLES.values()), *modules))
    found["/etc/nsswitch.conf"] = NSSWITCH
    return found


def write(binaries, target):
    """Makes the files in the folder target."""
    for path, source in files(binaries).items():
        path = target + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(source, images.Link):
            os.symlink(source, path)
        elif isinstance(source, bytes):
            with open(path, "wb") as file:
                file.write(source)
        else:
            shutil.copy(source, path)
    os.makedirs(f"{target}/tmp")
    os.chmod(f"{target}/tmp", 0o1777)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: rootfs BINARIES TARGET")
    write(*sys.argv[1:])
