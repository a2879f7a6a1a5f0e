# SPDX-License-Identifier: Apache-2.0
"""A door that keeps an HTTPS record up to date (`ech.publish`)."""
import pytest

from pebble import Named

PUBLIC = "public.ech.test"
ROTATE = 10  # seconds, the least that there may be
TTL = 2


@pytest.fixture(scope="module")
def names(pki):
    return {name: pki.server(f"{name}.ech.test") for name in ("shared", "public")}


@pytest.fixture
def named(tmp_path):
    server = Named(tmp_path, "ech.test").start()
    yield server
    server.stop()


def configuration(certs, keys, plain, dns, **publish):
    cert = [{"name": name, "certificate": str(certs[name].certificate), "key": str(certs[name].key)} for name in certs]
    return {
        "certificates": cert,
        "ech": {"public_name": PUBLIC, "keys": str(keys), "rotate": f"{ROTATE}s", "keep": "20s",
                "publish": {"names": ["shared.ech.test"], "dns": dns, "ttl": f"{TTL}s", "alpn": ["h2", "http/1.1"], **publish}},
        "routes": [{"name": "shared", "sni": "shared.ech.test", "terminate": {"to": plain}},
                   {"name": "public", "sni": PUBLIC, "terminate": {"to": plain}}],
    }


def told(door):
    return door.get_json("/ech")["ech"]


def config_of(record):
    return record.partition("ech=")[2]
