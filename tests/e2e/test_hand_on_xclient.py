# SPDX-License-Identifier: Apache-2.0
"""SMTP's XCLIENT: Postfix is told the client's address and who it has proven to be, after STARTTLS and where TLS begins at
once."""
import smtplib
import ssl

import pytest

import peers
from run import SLOW, free_port


@pytest.fixture
def door(start_door, pki, postfix):
    ports = {"starttls": free_port(), "implicit": free_port()}
    door = start_door({
        "certificates": [pki.server("mail.test").row()],
        "trust": [pki.trust()],
        "listeners": [{"name": "starttls", "address": f"127.0.0.1:{ports['starttls']}", "speaks": "smtp"},
                      {"name": "implicit", "address": f"127.0.0.1:{ports['implicit']}"}],
        "routes": [{"name": "mail", "listeners": ["starttls", "implicit"],
                    "terminate": {"to": postfix.to("xclient")}, "hand_on": {"protocol": "smtp"},
                    "clients": {"mode": "optional", "trust": "staff"}}],
        "policy": [{"name": "all", "who": {"any": True}}],
    })
    door.ports = ports
    return door


def told(door, postfix, way, pki, cert):
    """What Postfix knows of a client that gives a recipient."""
    context = ssl.create_default_context(cafile=pki.ca.file)
    if cert:
        context.load_cert_chain(cert.certificate, cert.key)
    context.check_hostname = False
    options = {"timeout": 10 * SLOW, "source_address": ("127.0.0.9", 0)}
    if way == "implicit":
        smtp = smtplib.SMTP_SSL("127.0.0.1", door.ports[way], context=context, **options)
    else:
        smtp = smtplib.SMTP("127.0.0.1", door.ports[way], **options)
        smtp.starttls(context=context)
    with smtp:
        assert smtp.ehlo()[0] == 250
        assert smtp.mail("alice@example.com")[0] == 250
        smtp.rcpt("bob@example.org")
    return postfix.asked[-1]


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_who_it_is(door, postfix, pki, way):
    heard = told(door, postfix, way, pki, pki.alice)
    assert (heard["client_address"], heard["sasl_username"]) == ("127.0.0.9", "alice"), heard


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_nobody_in_particular(door, postfix, pki, way):
    """Without a certificate there is an address and no user."""
    heard = told(door, postfix, way, pki, None)
    assert (heard["client_address"], heard["sasl_username"]) == ("127.0.0.9", ""), heard


def test_a_server_that_does_not_take_it(start_door, pki):
    """One that does not trust the door with it is an error that says what to do, not a client without a name."""
    port = free_port()
    with peers.Server(mail_without_xclient) as server:
        door = start_door({
            "certificates": [pki.server("mail.test").row()],
            "listeners": [{"name": "in", "address": f"127.0.0.1:{port}", "speaks": "smtp"}],
            "routes": [{"name": "mail", "listeners": ["in"], "terminate": {"to": server.to},
                        "hand_on": {"protocol": "smtp"}}],
        })
        context = ssl.create_default_context(cafile=pki.ca.file)
        context.check_hostname = False
        smtp = smtplib.SMTP("127.0.0.1", port, timeout=10 * SLOW)
        smtp.starttls(context=context)
        code, words = smtp.ehlo()
        assert code == 421 and words.endswith(b" service not available now")
        assert "smtpd_authorized_xclient_hosts" in door.audited(route="mail")["detail"]


def mail_without_xclient(sock):
    sock.sendall(b"220 plain\r\n")
    sock.recv(4096)
    sock.sendall(b"250-plain\r\n250 SIZE\r\n")
    sock.recv(4096)
