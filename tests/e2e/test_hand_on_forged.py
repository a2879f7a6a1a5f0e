# SPDX-License-Identifier: Apache-2.0
"""A server that takes XCLIENT from the door would take it from the door's clients too: none gets it through, however it is cut,
hidden or put where door and server could disagree about what is a command. Mail still does."""
import re
import smtplib
import socket
import ssl

import pytest

from mail_clients import swaks
from mail_servers import PASSWORD, USER
from run import SLOW, free_port, wait_until

ENVELOPE = b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\n"
FORGERY = b"XCLIENT LOGIN=root ADDR=192.0.2.66\r\n" + ENVELOPE
MAIL = ENVELOPE + b"DATA\r\nSubject: x\r\n\r\nhello"
# Each is said at once, and END behind it, which ends the connection in whatever state that is. True: Postfix itself falls for it.
END = b"\r\n.\r\nQUIT\r\n"
ATTACKS = {
    "as it is": (FORGERY, True),
    "in lower case": (FORGERY.lower(), True),
    "behind blanks": (b" \t " + FORGERY, True),
    "with a tab": (FORGERY.replace(b"T L", b"T\tL"), True),
    "among others": (b"EHLO a\r\n" + ENVELOPE + b"RSET\r\n" + FORGERY, True),
    "behind a bare LF": (b"NOOP\n" + FORGERY, True),
    "with bare LFs": (FORGERY.replace(b"\r\n", b"\n"), True),
    "behind a bare CR": (b"NOOP\r" + FORGERY, False),
    "behind a NUL": (b"NOOP\0" + FORGERY, False),
    "with a NUL": (FORGERY.replace(b"XC", b"X\0C"), False),
    "behind what ends a line early": (b"NOOP \r\r\n" + FORGERY, True),
    **{f"in a line of {n} bytes": (b"NOOP " + b"x" * (n - 5) + FORGERY, False)
       for n in (510, 1000, 1999, 2000, 2047, 2048, 2049, 4096, 16383)},
    "in a line without end": (b"NOOP " + b"x" * 20000 + FORGERY, False),
    "as a mail that was refused": (b"DATA\r\n" + FORGERY, True),
    "as a mail, parameters refused": (b"DATA x\r\n" + FORGERY, True),
    "behind a mail": (MAIL + b"\r\n.\r\n" + FORGERY, True),
    "behind an empty mail": (ENVELOPE + b"DATA\r\n.\r\n" + FORGERY, True),
    "in a mail": (MAIL + b"\r\n" + FORGERY, False),
    **{f"behind {end!r} in a mail": (MAIL + end + FORGERY, smuggles) for end, smuggles in {
        b"\n.\n": True, b"\r\n.\n": True, b"\n.\r\n": True, b"\r\n.\r\r\n": True, b"\r\r\n.\r\n": True, b"\n\r\n.\r\n": True,
        b"\r.\r": False, b"\r\n.\r": False, b"\r.\r\n": False, b"\r.\n": False, b"\0.\r\n": False, b"\r\n\0.\r\n": False,
        b"\r\n.\0\r\n": False, b"\r\n.\0": False, b"\r\n..\r\n": False}.items()},
    "behind a dot and LF at a mail's beginning": (ENVELOPE + b"DATA\r\n.\n" + FORGERY, True),
    "behind lines longer than the server's": (MAIL + b"x" * 2048 + b".\r\n" + FORGERY, False),
    "behind chunks": (ENVELOPE + b"BDAT 5 LAST\r\nhello" + FORGERY, True),
    "behind chunks and blanks": (ENVELOPE + b" BDAT 5 LAST\r\nhello" + FORGERY, True),
    "behind a chunk of nothing": (ENVELOPE + b"BDAT 0 LAST\r\n" + FORGERY, True),
    "as an answer in AUTH": (b"EHLO a\r\nAUTH PLAIN\r\n" + FORGERY, False),
    "as an answer in AUTH, and behind it": (b"EHLO a\r\nAUTH PLAIN\r\n" + FORGERY + FORGERY, False),  # in a transaction by then
    "behind an answer in AUTH": (b"EHLO a\r\nAUTH PLAIN\r\nx\r\n" + FORGERY, True),
    "behind AUTH, cancelled": (b"EHLO a\r\nAUTH PLAIN\r\n*\r\n" + FORGERY, True),
    "behind AUTH that is not there": (b"EHLO a\r\nAUTH NOSUCH\r\n" + FORGERY, True),
    "behind a long answer in AUTH": (b"EHLO a\r\nAUTH PLAIN\r\n" + b"A" * 12287 + b"\r\n" + FORGERY, True),
    "behind an answer in AUTH that is too long": (b"EHLO a\r\nAUTH PLAIN\r\n" + b"A" * 12288 + FORGERY, False),
    "behind STARTTLS": (b"STARTTLS\r\n" + FORGERY, True),
}


@pytest.fixture
def door(start_door, pki, postfix):
    ports = {"starttls": free_port(), "implicit": free_port()}
    door = start_door({
        "certificates": [pki.server("mail.test").row()],
        "listeners": [{"name": "starttls", "address": f"127.0.0.1:{ports['starttls']}", "speaks": "smtp"},
                      {"name": "implicit", "address": f"127.0.0.1:{ports['implicit']}"}],
        "routes": [{"name": "mail", "listeners": ["starttls", "implicit"], "terminate": {"to": postfix.to("xclient")},
                    "hand_on": {"protocol": "smtp"}}],
    })
    door.ports = ports
    return door


def connect(port, pki, starttls=False):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW)
    if starttls:
        sock.recv(4096)
        sock.sendall(b"STARTTLS\r\n")
        assert sock.recv(4096).startswith(b"220 ")
    context = ssl.create_default_context(cafile=pki.ca.file)
    return context.wrap_socket(sock, server_hostname="mail.test")


def play(sock, words, piece=1 << 20):
    """Say it, and hear the other side to its end."""
    heard = b""
    with sock:
        try:
            for at in range(0, len(words), piece):
                sock.sendall(words[at:at + piece])
            while data := sock.recv(65536):
                heard += data
        except (ConnectionError, ssl.SSLError):
            pass  # what is ambiguous breaks it off
    return heard


def forged(postfix, since):
    return [told for told in postfix.asked[since:] if told["sasl_username"] or told["client_address"] == "192.0.2.66"]


def test_postfix_itself_falls_for_it(postfix):
    """So that the table below is known to be about something."""
    found = {}
    for name, (words, _) in ATTACKS.items():
        since = len(postfix.asked)
        host, port = postfix.to("xclient").split(":")
        play(socket.create_connection((host, int(port)), timeout=20 * SLOW), words + END)
        found[name] = bool(forged(postfix, since))
    assert found == {name: falls for name, (_, falls) in ATTACKS.items()}


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_nobody_forges_who_he_is(door, postfix, pki, way):
    for name, (words, _) in ATTACKS.items():
        for piece in (1 << 20, 7):
            since = len(postfix.asked)
            play(connect(door.ports[way], pki, way == "starttls"), words + END, piece)
            assert forged(postfix, since) == [], (name, piece)


def converse(sock, *parts):
    """Say each part when what is expected for it has come."""
    heard = b""
    for words, until in parts:
        sock.sendall(words)
        while not re.search(until, heard):
            data = sock.recv(65536)
            assert data, heard
            heard += data
        before, heard = heard, b""
    return before


def test_a_mail_that_is_broken_off(door, postfix, pki):
    """The audit line says why, and the part that Postfix has is no mail."""
    with connect(door.ports["implicit"], pki) as sock:
        converse(sock, (b"", rb"220"), (ENVELOPE, rb"250.*\n250.*\n"), (b"DATA\r\n", rb"354"))
        sock.sendall(b"Subject: broken-off\r\n\r\nhello\n.\nXCLIENT LOGIN=root\r\n")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            sock.recv(4096)
    line = door.audited(route="mail")
    assert line["reason"] == "bad_request"
    assert "a line of a dot in a mail does not begin and end with CR LF" in line["detail"]
    wait_until(lambda: "lost connection after DATA" in postfix.log(), "log")
    assert not postfix.delivered("broken-off")


def test_what_is_offered(door, pki):
    """Neither what would tell who somebody is, nor what the door does not follow."""
    offers = converse(connect(door.ports["implicit"], pki), (b"", rb"220 .*\n"), (b"EHLO a\r\n", rb"250 .*\n")).decode()
    assert re.search("PIPELINING", offers) and re.search("250[ -]SIZE", offers), offers
    assert not re.search("XCLIENT|XFORWARD|CHUNKING|BINARYMIME|STARTTLS", offers), offers
    assert all(re.fullmatch(r"250-\S.*", line) for line in offers.splitlines()[:-1])
    said = converse(connect(door.ports["implicit"], pki), (b"", rb"220 .*\n"), (b"XFORWARD ADDR=192.0.2.66\r\n", rb"\n"))
    assert said == b"502 5.5.1 The command is not known here\r\n"


@pytest.mark.parametrize("way", ["starttls", "implicit"])
def test_mail_with_a_password(door, postfix, pki, way):
    since = len(postfix.asked)
    swaks(door.ports[way], way, pki.ca.file, "mail.test", f"forged-{way}", "--auth", "PLAIN", "--auth-user", USER,
          "--auth-password", PASSWORD)
    wait_until(lambda: postfix.delivered(f"forged-{way}"), "delivery")
    assert postfix.asked[since]["sasl_username"] == USER


def test_commands_at_once(door, postfix, pki):
    """A client that pipelines, as it is offered, several mails in a connection."""
    with connect(door.ports["implicit"], pki) as sock:
        converse(sock, (b"", rb"220 .*\n"), (b"EHLO a\r\n", rb"250 .*\n"))
        for i in range(3):
            converse(sock, (ENVELOPE + b"RCPT TO:<carol@example.com>\r\nDATA\r\n", rb"(250.*\n){3}354.*\n"),
                     (b"Subject: piped-%d\r\n\r\nhello\r\n.\r\nNOOP\r\nRSET\r\n" % i, rb"250.*queued.*\n250.*\n250.*\n"))
        converse(sock, (b"QUIT\r\n", rb"221"))
    for i in range(3):
        wait_until(lambda: postfix.delivered(f"piped-{i}"), "delivery")


def test_a_big_mail(door, postfix, pki):
    """Of several megabytes, with lines far longer than a unit, dots at their beginning, and bytes that are not text."""
    lines = ["Subject: big", "", ".dot", "..dots", ". blank", "caf\u00e9", "a.b", "."] + ["y" * 76] * 40000 + ["x." * 50000, ".last"]
    context = ssl.create_default_context(cafile=pki.ca.file)
    context.check_hostname = False
    with smtplib.SMTP_SSL("127.0.0.1", door.ports["implicit"], context=context, timeout=60 * SLOW) as smtp:
        smtp.sendmail("alice@example.com", ["bob@example.com"], "\r\n".join(lines).encode())
        assert smtp.noop()[0] == 250
    wait_until(lambda: postfix.delivered("\n.last\n"), "delivery", 30 * SLOW)
    assert postfix.delivered("\n.dot\n..dots\n. blank\ncaf\u00e9\na.b\n.\nyyyy")


# LMTP -------------------------------------------------------------------------------------------------------------

TO_THREE = b"LHLO a\r\nMAIL FROM:<bob@example.com>\r\n" + b"".join(b"RCPT TO:<%s@example.com>\r\n" % name
                                                                for name in (b"alice", b"carol", b"dave"))
AS_ANOTHER = b"XCLIENT ADDR=192.0.2.66\r\n"
CONTENT = b"Subject: three\r\n\r\nhello"
# As above: does Dovecot fall for it?
LMTP_ATTACKS = {
    "as it is": (AS_ANOTHER, True),
    "in lower case": (b"LHLO a\r\n" + AS_ANOTHER.lower(), True),
    "behind a bare LF": (b"LHLO a\n" + AS_ANOTHER, True),
    "behind a bare CR": (b"LHLO a\r" + AS_ANOTHER, False),
    "as a mail that was refused": (b"LHLO a\r\nDATA\r\n" + AS_ANOTHER, True),
    "behind a mail": (TO_THREE + b"DATA\r\n" + CONTENT + b"\r\n.\r\n" + AS_ANOTHER, True),
    "behind a mail that was refused": (TO_THREE + b"LHLO\r\nDATA\r\n.\r\nAUTH PLAIN\r\n" + AS_ANOTHER, True),
    "in a mail": (TO_THREE + b"DATA\r\n" + CONTENT + b"\r\n" + AS_ANOTHER, False),
    "in a mail behind a long line": (TO_THREE + b"DATA\r\n" + CONTENT + b"x" * 8192 + b".\r\n" + AS_ANOTHER, False),
    "behind chunks": (TO_THREE + b"BDAT 5 LAST\r\nhello" + AS_ANOTHER, True),
    "behind a line without end": (b"LHLO a\r\nNOOP " + b"x" * 20000 + AS_ANOTHER, False),
    **{f"behind {end!r} in a mail": (TO_THREE + b"DATA\r\n" + CONTENT + end + AS_ANOTHER, smuggles) for end, smuggles in {
        b"\n.\n": True, b"\r\n.\n": True, b"\n.\r\n": True, b"\r.\r": False, b"\r\n.\r": False, b"\r\n.\r\r\n": False,
        b"\r\n.\0\r\n": False}.items()},
}


@pytest.fixture
def lmtp(start_door, pki, dovecot):
    """The port of a door that tells Dovecot by XCLIENT where its clients are."""
    port = free_port()
    start_door({
        "certificates": [pki.server("mail.test").row()],
        "listeners": [{"name": "in", "address": f"127.0.0.1:{port}"}],
        "routes": [{"name": "mail", "terminate": {"to": dovecot.to("lmtp")}, "hand_on": {"protocol": "lmtp"}}],
    })
    return port


def believed(heard):
    """Another greeting: Dovecot has taken it."""
    return b"\n220 " in heard


def test_dovecot_itself_falls_for_it(dovecot):
    host, port = dovecot.to("lmtp").split(":")
    found = {}
    for name, (words, _) in LMTP_ATTACKS.items():
        found[name] = believed(play(socket.create_connection((host, int(port)), timeout=20 * SLOW), words + END))
    assert found == {name: falls for name, (_, falls) in LMTP_ATTACKS.items()}


def test_nobody_forges_his_address_in_lmtp(lmtp, pki):
    for name, (words, _) in LMTP_ATTACKS.items():
        heard = play(connect(lmtp, pki), words + END)
        assert heard.startswith(b"220 ") and not believed(heard), (name, heard)


def test_mail_to_three(lmtp, dovecot, pki):
    """Each recipient has an answer, also where all commands come at once, and a mail can follow the mail."""
    with connect(lmtp, pki) as sock:
        for i in range(2):
            mail = CONTENT.replace(b"three", b"to-three-%d" % i)
            converse(sock, (TO_THREE + b"RCPT TO:<>\r\nDATA\r\n", rb"354.*\n"),
                     (mail + b"\r\n.\r\nNOOP\r\n", rb"(250.*Saved\r\n){3}250.*\n"))
        assert b"221" in converse(sock, (b"QUIT\r\n", rb"221.*\n"))
    for i in range(2):
        for name in ("alice", "carol", "dave"):
            wait_until(lambda: dovecot.delivered(f"to-three-{i}", f"{name}@example.com"), "delivery")


def test_imap_and_pop3_believe_nobody(start_door, pki, dovecot):
    """Where the door's host is trusted for LMTP alone, nobody behind it is in other protocols."""
    ports = {"imap": free_port(), "pop3": free_port()}
    start_door({
        "certificates": [pki.server("mail.test").row()],
        "listeners": [{"name": name, "address": f"127.0.0.1:{port}"} for name, port in ports.items()],
        "routes": [{"name": name, "listeners": [name], "terminate": {"to": dovecot.to(name)}} for name in ports],
    })
    with connect(ports["pop3"], pki) as sock:
        assert b"not from trusted IP" in converse(sock, (b"", rb"ready.*\n"), (AS_ANOTHER, rb"\n"))
    with connect(ports["imap"], pki) as sock:
        converse(sock, (b'a ID ("x-originating-ip" "192.0.2.66")\r\n', rb"a OK.*\n"),
                 (f"b LOGIN {USER} wrong\r\n".encode(), rb"b NO.*\n"), (b"c LOGOUT\r\n", rb"c OK"))
    wait_until(lambda: "imap-login: Info" in dovecot.log(), "log")
    assert "rip=192.0.2.66" not in dovecot.log()
