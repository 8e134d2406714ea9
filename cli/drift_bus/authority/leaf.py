"""Leaf nodes: the hub's listener, and for each role the configuration of a server that logs in at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from drift_bus.authority.plan import Plan
from drift_schemas.access import KeyPair

__all__ = ["leaf_files", "leaf_listener"]

_LEAF: Final = "127.0.0.1:4222"


def leaf_listener(plan: Plan, folder: Path) -> str:
    """The block that takes leaf nodes, with TLS; empty where the plan wants none."""
    if plan.leaf_listen is None:
        return ""
    host, port = plan.leaf_listen
    return f"""
# A leaf node logs in with the key of a role, and may do what that role may.
leafnodes {{
  listen: {json.dumps(f"{host}:{port}")}
  tls {{
    cert_file: {json.dumps(str(folder / "server.pem"))}
    key_file: {json.dumps(str(folder / "server-key.pem"))}
    handshake_first: true
  }}
}}
"""


def leaf_files(role: str, key: KeyPair, plan: Plan, folder: Path) -> dict[str, tuple[bytes, str]]:
    """A server's configuration and its clients' settings, by file name, each with what it is for."""
    host = f"[{plan.hosts[0]}]" if ":" in plan.hosts[0] else plan.hosts[0]
    port = plan.leaf_listen[1] if plan.leaf_listen else 0
    config = f"""# Written by drift-bus auth init: a leaf node for {role}. Who connects to it may do what {role} may.
# It holds a secret, the key. Copy this file and ca.pem to the machine, and correct the path of ca.pem here.

listen: {json.dumps(_LEAF)} # for programs of this machine; it asks for no login
ping_interval: "10s" # a link that swallows everything is closed, and opened again, within half a minute

leafnodes {{
  remotes: [{{
    urls: [{json.dumps(f"tls://{host}:{port}")}]
    nkey: {json.dumps(key.seed())}
    tls {{ ca_file: {json.dumps(str(folder / "ca.pem"))}, handshake_first: true }}
  }}]
}}
"""
    settings = {
        "NATS_URL": f"nats://{_LEAF}",
        "NATS_DOMAIN": plan.topology.domain or "",
        "SUBJECT_PREFIX": plan.topology.prefix,
    }
    lines = "".join(f"DRIFT_BUS_{name}={value}\n" for name, value in settings.items())
    return {
        f"{role}.leaf.conf": (config.encode(), f"a leaf node's configuration, for {role} elsewhere; secret"),
        f"{role}.leaf.env": (lines.encode(), f"the settings of {role} at that leaf node; no secret"),
    }
