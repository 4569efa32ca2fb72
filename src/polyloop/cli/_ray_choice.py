"""What `polyloop doctor` says of Ray: what is installed, and the cluster that the environment names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .._cluster import check_address
from .._ray_connection import dial

__all__ = ["ray_choice"]

# For all of it, in seconds. A guess: Ray takes a few to be imported, and two minutes to give up.
PATIENCE = 20.0


def ray_choice() -> tuple[bool, str]:
    """Whether loops can live in a cluster, and a remark; no cluster is started to find that out."""
    try:
        installed = version("ray")
    except PackageNotFoundError:
        return False, "not installed; pip install 'polyloop[ray]'"
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        return True, f"{installed}; RAY_ADDRESS, which can name a cluster, is not set"
    try:
        check_address("RAY_ADDRESS", address)
    except ValueError as error:
        return False, f"{installed}; {error}"
    if address == "local":
        return True, f"{installed}; RAY_ADDRESS is local: each program starts a cluster of this machine"
    reason, found = _look_at(address)
    if reason:
        return False, f"{installed}; RAY_ADDRESS={address}: {reason}"
    return True, f"{installed}; RAY_ADDRESS={address}: {found}"


def _look_at(address: str) -> tuple[str, str]:
    """Why a cluster cannot be seen, and what is to be seen of it."""
    try:
        dial(address)
    except RuntimeError as error:
        return str(error), ""
    # By path and with -P: neither the current directory nor this one is searched for modules.
    command = [sys.executable, "-P", str(Path(__file__).with_name("_cluster_look.py")), address]
    try:
        done = subprocess.run(  # noqa: S603 - our own file
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer within {PATIENCE:g} s", ""
    if done.returncode or not done.stdout:
        return (done.stderr.splitlines() or [f"exit status {done.returncode}"])[-1], ""
    found = json.loads(done.stdout)
    nodes = "1 node" if found["nodes"] == 1 else f"{found['nodes']:,} nodes"
    return "", f"{nodes} with {found['cpus']:,g} CPUs"
