# SPDX-License-Identifier: Apache-2.0
"""A session ticket is good where it was given and nowhere else: who got one on a route that asks for nothing must not
come in with it where a certificate is asked for."""
import ssl

import pytest

import tls

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
ROUTES = ["open", "open2", "optional", "required", "strangers"]


@pytest.fixture(scope="module")
def door(start_module_door, pki, banner):
    to = {"terminate": {"to": banner.to}}
    optional, required = ({"mode": mode, "trust": "staff"} for mode in ("optional", "required"))
    return start_module_door({
        "certificates": [pki.server("*.ticket.test").row()],
        "trust": [pki.trust(), {"name": "strangers", "ca": [pki.stranger.file]}],
        "routes": [
            {"name": "open", "sni": "open.ticket.test", **to},
            {"name": "open2", "sni": "open2.ticket.test", **to},
            {"name": "optional", "sni": "optional.ticket.test", "clients": optional, **to},
            {"name": "required", "sni": "required.ticket.test", "clients": required, **to},
            {"name": "strangers", "sni": "strangers.ticket.test",
             "clients": {"mode": "required", "trust": "strangers"}, **to},
        ],
        "policy": [{"name": "all", "who": {"any": True}, "routes": ["optional", "required", "strangers"]}],
    })


def visit(door, route, ctx, session=None):
    """(what the backend says, or "" when the door refuses; the session; whether a ticket was used; its own address)"""
    with door.dial() as raw:
        name = raw.getsockname()
        try:
            with ctx.wrap_socket(raw, server_hostname=f"{route}.ticket.test", session=session) as sock:
                visited = tls.read_line(sock), sock.session, sock.session_reused, name
                tls.finish(sock)
                return visited
        except (ssl.SSLError, ConnectionResetError):
            return "", None, False, name


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source, who", [("open", None), ("optional", None), ("open", "alice"), ("optional", "alice"),
                                         ("required", "alice"), ("strangers", "mallory")])
def test_no_other_route_takes_it(door, pki, version, source, who):
    """It resumes where it came from; everywhere else there is a whole handshake, with all that is asked for."""
    cert = who and getattr(pki, who)
    ctx = tls.context(cert=cert, least=version, most=version)
    said, session, reused, _ = visit(door, source, ctx)
    assert said and session is not None and session.has_ticket and not reused
    for route in ROUTES:
        afresh = visit(door, route, ctx)[0]
        said, _, reused, name = visit(door, route, ctx, session)
        assert reused is (route == source), (route, said)
        assert said == afresh
        line = door.audited_of(name)
        assert line["route"] == route
        if said:
            assert line["resumed"] is (route == source)
            assert line.get("identity") == (None if route.startswith("open") or not who else "alice")
        else:
            assert "resumed" not in line or line["resumed"] is False


@pytest.mark.parametrize("version", VERSIONS)
def test_nobody_becomes_somebody(door, version, pki):
    """A ticket of a visit without a certificate opens nothing that needs one."""
    ctx = tls.context(least=version, most=version)
    for source in ("open", "optional"):
        session = visit(door, source, ctx)[1]
        for route in ("required", "strangers"):
            assert visit(door, route, ctx, session)[0] == ""


@pytest.mark.parametrize("version", VERSIONS)
def test_rules_that_change(start_door, pki, banner, version):
    """The same route asks for more after a reload: tickets of before are worth nothing."""
    def config(**clients):
        policy = {"policy": [{"name": "all", "who": {"any": True}, "routes": ["a"]}]} if clients else {}
        return {"certificates": [pki.server("*.ticket.test").row()], "trust": [pki.trust()],
                "routes": [{"name": "a", "sni": "a.ticket.test", "terminate": {"to": banner.to}, **clients}], **policy}
    door = start_door(config())
    ctx = tls.context(least=version, most=version)
    session = visit(door, "a", ctx)[1]
    assert visit(door, "a", ctx, session)[2] is True
    door.reload(config(clients={"mode": "required", "trust": "staff"}))
    assert visit(door, "a", ctx, session)[0] == ""
