# SPDX-License-Identifier: Apache-2.0
"""Mail and news at a door: two names at one port that speaks smtp, imap and so on. One server keeps its own TLS, the other
speaks none. The same routes at a port where TLS begins at once."""
import pytest

from mail_attacks import TLS, inject, refuse, strip
from mail_work import CLIENT, PROTOCOLS, SERVER, Work, can, script
from middle import Middle
from run import free_port


@pytest.fixture(scope="module")
def work(request, pki):
    return Work(request, pki.ca.file)


@pytest.fixture(scope="module")
def door(work, start_module_door, pki):
    """A pair of listeners for each protocol; ports in door.mail[protocol]."""
    ports = {protocol: {"starttls": free_port(), "implicit": free_port()} for protocol in PROTOCOLS}
    listeners, routes = [], []
    for protocol in PROTOCOLS:
        if not can(protocol):
            continue
        listeners += [{"name": protocol, "address": f"127.0.0.1:{ports[protocol]['starttls']}", "speaks": protocol},
                      {"name": f"{protocol}-tls", "address": f"127.0.0.1:{ports[protocol]['implicit']}"}]
        routes += [
            {"name": f"{protocol}-passed", "listeners": [protocol], "sni": "mail.example.com",
             "pass": {"to": work.server(protocol, "starttls")}},
            {"name": f"{protocol}-ended", "listeners": [protocol, f"{protocol}-tls"], "sni": "ended.example.com",
             "terminate": {"to": work.server(protocol, None)}},
            {"name": f"{protocol}-again", "listeners": [protocol, f"{protocol}-tls"], "sni": "again.example.com",
             "terminate": {"to": work.server(protocol, "starttls"),
                           "tls": {"starttls": protocol, "name": "mail.example.com", "trust": "door"}}}]
    door = start_module_door({
        "listeners": listeners, "routes": routes, "certificates": [pki.server("ended.example.com", "again.example.com").row()],
        "trust": [{"name": "door", "ca": [pki.ca.file]}], "limits": {"dial_timeout": "10s"}})
    door.mail = ports
    return door


def cases():
    return [pytest.param(protocol, marks=pytest.mark.proves(protocol, "route", SERVER[protocol],
                                                            CLIENT.get(protocol, "openssl s_client")))
            for protocol in PROTOCOLS]


@pytest.mark.parametrize("protocol", cases())
@pytest.mark.parametrize("name, route, action", [("mail", "passed", "pass"), ("ended", "ended", "terminate"),
                                                 ("again", "again", "terminate")])
def test_name_after_starttls(work, door, protocol, name, route, action):
    """The name in the ClientHello after STARTTLS chooses the server, which is asked in the same protocol where it has TLS."""
    done, text = work.do(protocol, door.mail[protocol]["starttls"], "starttls", f"{name}.example.com")
    assert done, f"{text}\n{door.audit()[-3:]}"
    assert door.audited(route=f"{protocol}-{route}", action=action)["starttls"] == script(protocol)


@pytest.mark.parametrize("protocol", [protocol for protocol in PROTOCOLS if protocol != "managesieve"])
@pytest.mark.parametrize("name", ["ended", "again"])
def test_the_same_routes_where_tls_begins_at_once(work, door, protocol, name):
    """As with smtps and imaps. sieve-connect has no way to do so."""
    done, text = work.do(protocol, door.mail[protocol]["implicit"], "implicit", f"{name}.example.com")
    assert done, f"{text}\n{door.audit()[-3:]}"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_name_without_route(work, door, protocol):
    """A name that is nobody's leads nowhere."""
    assert not work.do(protocol, door.mail[protocol]["starttls"], "starttls", "nobody.example.com")[0]
    door.audited(starttls=script(protocol), sni="nobody.example.com", reason="no_route")


@pytest.mark.parametrize("edit, named", [(strip, "taken out on the way"), (inject("smtp"), "in the clear where TLS was to begin"),
                                         (refuse("smtp"), "does not begin TLS")], ids=["stripped", "injected", "refused"])
@pytest.mark.parametrize("action", ["pass", "terminate"])
def test_who_is_in_the_middle_behind_the_door(work, start_door, pki, edit, named, action):
    """The door asks the server for TLS as a wrapped client would: nothing is passed to one that does not begin it rightly, and
    the client, which is in TLS already, hears that the connection failed."""
    middle, port = Middle(work.server("smtp", "starttls"), edit), free_port()
    own = {"tls": {"starttls": "smtp", "name": "mail.example.com", "trust": "door"}} if action == "terminate" else {}
    door = start_door({
        "listeners": [{"name": "smtp", "address": f"127.0.0.1:{port}", "speaks": "smtp"}],
        "routes": [{"name": "mail", "listeners": ["smtp"], action: {"to": middle.to, **own}}],
        "certificates": [pki.server("mail.example.com").row()], "trust": [{"name": "door", "ca": [pki.ca.file]}]})
    done, _ = work.do("smtp", port, "starttls")
    assert not done
    line = door.audited(route="mail", reason="backend_tls")
    assert named in line["detail"], line
    assert TLS not in middle.heard
