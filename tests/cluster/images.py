# SPDX-License-Identifier: Apache-2.0
"""Container images made of local files, as OCI archives; no registry."""

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Link(str):
    """As an entry of files: a symbolic link to this path."""


def _blob(data):
    return {"digest": "sha256:" + hashlib.sha256(data).hexdigest(),
            "size": len(data)}


def _json(value):
    return json.dumps(value, sort_keys=True).encode()


def _add(tar, name, data, mode=0o644, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, len(data)
    tar.addfile(info, io.BytesIO(data))


def _content(source):
    """The bytes and the mode of one entry of files."""
    mode = None
    if isinstance(source, tuple):
        source, mode = source
    if isinstance(source, bytes):
        return source, 0o644 if mode is None else mode
    with open(source, "rb") as file:
        found = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        return file.read(), found if mode is None else mode


def _layer(files, folders):
    out = io.BytesIO()
    wanted = {path.strip("/"): mode for path, mode in folders.items()}
    for path in list(wanted) + [path.strip("/") for path in files]:
        while path := os.path.dirname(path):
            wanted.setdefault(path, 0o755)
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path in sorted(wanted):
            _add(tar, path, b"", wanted[path], tarfile.DIRTYPE)
        for path in sorted(files):
            if isinstance(files[path], Link):
                info = tarfile.TarInfo(path.strip("/"))
                info.type, info.linkname = tarfile.SYMTYPE, files[path]
                tar.addfile(info)
            else:
                _add(tar, path.strip("/"), *_content(files[path]))
    return out.getvalue()


def oci_archive(path, name, files, entrypoint, user="0:0", cmd=(), env=None,
                folders=None):
    """Writes an image with one layer to the file path.

    name has to be whole: host, path and tag. files maps the path in the image
    to a path on this machine, to bytes, to a pair of one of these and a mode,
    or to a Link; folders maps paths of (empty) folders to modes. All belongs
    to root.
    """
    if not re.fullmatch(r"[^/]*[.:][^/]*/[^:]+:.+|localhost/[^:]+:.+", name):
        raise ValueError(f"image {name!r}: expected HOST/PATH:TAG")
    layer = _layer(files, {"tmp": 0o1777, **(folders or {})})
    environ = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
                       ":/sbin:/bin", **(env or {})}
    config = _json({
        "architecture": ARCHITECTURES.get(os.uname().machine,
                                          os.uname().machine),
        "os": "linux",
        "config": {
            "User": str(user), "Entrypoint": list(entrypoint),
            "Cmd": list(cmd), "WorkingDir": "/",
            "Env": [f"{key}={value}" for key, value in environ.items()],
            # Two names for one image id confuse the CRI plugin of
            # containerd 1.6: the name makes each id its own.
            "Labels": {"org.opencontainers.image.ref.name": name}},
        "rootfs": {"type": "layers", "diff_ids": [_blob(layer)["digest"]]},
        "history": [{"created_by": "oci_archive"}],
    })
    oci = "application/vnd.oci.image"
    manifest = _json({
        "schemaVersion": 2, "mediaType": f"{oci}.manifest.v1+json",
        "config": {"mediaType": f"{oci}.config.v1+json", **_blob(config)},
        "layers": [{"mediaType": f"{oci}.layer.v1.tar", **_blob(layer)}]})
    index = _json({
        "schemaVersion": 2, "mediaType": f"{oci}.index.v1+json",
        "manifests": [{
            "mediaType": f"{oci}.manifest.v1+json", **_blob(manifest),
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": name.rpartition(":")[2],
            }}]})
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with tarfile.open(f"{path}.new", "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", index)
        for data in (manifest, config, layer):
            _add(tar, "blobs/sha256/" + _blob(data)["digest"][7:], data)
    os.rename(f"{path}.new", path)
    return path


def libraries(*programs):
    """The shared libraries that programs load, and their loader: an entry of
    files for each. Names are as the loader looks them up."""
    found = {}
    for program in programs:
        out = subprocess.run(["ldd", program], text=True, check=True,
                             capture_output=True).stdout
        for library in re.findall(r"(/\S+) \(0x", out):
            found[library] = library
    return found


def tree(folder, leave_out=()):
    """Entries of files for a folder; names that leave_out has are left out
    at each level."""
    found = {}
    for path, names, files in os.walk(folder):
        names[:] = [n for n in names
                    if n not in leave_out and n != "__pycache__"]
        for name in files:
            full = f"{path}/{name}"
            if name not in leave_out and os.path.isfile(full):
                found[full] = full
    return found
