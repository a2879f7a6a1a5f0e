# SPDX-License-Identifier: Apache-2.0
"""A door with Encrypted ClientHello in front of one name within: a tunnel and a web server."""
import pytest

PUBLIC = "public.ech.test"
NAME = "inside.ech.test"


@pytest.fixture(scope="module")
def names(pki):
    return {name: pki.server(f"{name}.ech.test") for name in ("inside", "public")}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return tmp_path_factory.mktemp("door-keys") / "ech"


@pytest.fixture(scope="module")
def door(start_module_door, pki, names, keys, banner):
    return start_module_door({
        "certificates": [cert.row() for cert in names.values()], "workers": 1, "trust": [pki.trust()],
        "ech": {"public_name": PUBLIC, "keys": str(keys)},
        "policy": [{"name": "alice", "who": {"name": "alice"}, "targets": ["127.0.0.1:*"]}],
        "routes": [{"name": "tunnel", "sni": "*.ech.test", "alpn": ["cardea/1", "h3"], "tunnel": {},
                    "clients": {"mode": "required", "trust": "staff"}},
                   {"name": "web", "sni": "*.ech.test", "terminate": {"to": banner.to}}]})
