# SPDX-License-Identifier: Apache-2.0
"""What a listener speaks and the routes that it leads to must fit: each error names its line, and what to do."""
import pytest

from run import CARDEA, run


def check(folder, listener, route):
    """Standard error of `serve --check` of one listener, on line 2, and one route, on line 4."""
    (folder / "door.yaml").write_text(f"listeners:\n  - {{name: in, {listener}}}\nroutes:\n  - {{name: to, {route}}}\n")
    return run(CARDEA, "serve", "--check", "-c", "door.yaml", cwd=folder).stderr.decode()


@pytest.mark.parametrize("listener, route, complaint", [
    ('address: "127.0.0.1:1", plaintext: true', "listeners: [in], pass: {to: 192.0.2.1:1}",
     "door.yaml:2:5: plaintext: listener 'in' speaks tls: there is no STARTTLS that clients could leave out"),
    ('address: "127.0.0.1:1", speaks: plain, plaintext: true', "listeners: [in], forward: {to: 192.0.2.1:1}",
     "door.yaml:2:48: plaintext: listener 'in' speaks plain: there is no STARTTLS that clients could leave out"),
    ('address: "127.0.0.1:1", speaks: plain', "pass: {to: 192.0.2.1:1}",
     "door.yaml:2:48: speaks: listener 'in' speaks plain, and no route names it: 'listeners: [in]'"),
    ('address: "127.0.0.1:1", speaks: imapp', "listeners: [in], pass: {to: 192.0.2.1:1}",
     "door.yaml:2:48: speaks: found 'imapp', expected a protocol, tls or plain; did you mean 'imap'?"),
    ('address: "127.0.0.1:1", speaks: imaps', "listeners: [in], pass: {to: 192.0.2.1:1}",
     "door.yaml:2:48: speaks: found 'imaps', and in imaps TLS begins at once: leave 'speaks' out"),
    ('address: "127.0.0.1:1", speaks: plain', "listeners: [in], forward: {to: 192.0.2.1:1, tls: {name: a.test, starttls: smtps}}",
     "starttls: found 'smtps', and in smtps TLS begins at once: leave 'starttls' out"),
    ('address: "127.0.0.1:1", speaks: rdp', "listeners: [in], pass: {to: 192.0.2.1:1}",
     "door.yaml:2:48: speaks: the script of 'rdp' has no section 'answer'"),
    ('address: "127.0.0.1:1"', "forward: {to: 192.0.2.1:1}",
     "door.yaml:4:5: route 'to': forward: expected 'listeners' that speak 'plain'"),
    ('address: "127.0.0.1:1"', "listeners: [in], forward: {to: 192.0.2.1:1}",
     "door.yaml:4:5: route 'to': forward: listener 'in' speaks tls; 'forward' is for listeners that speak 'plain'"),
])
def test_complaint(tmp_path, listener, route, complaint):
    assert complaint in check(tmp_path, listener, route)


def test_another_name(tmp_path):
    """submission is smtp."""
    assert check(tmp_path, 'address: "127.0.0.1:1", speaks: submission', "listeners: [in], pass: {to: 192.0.2.1:1}") == ""
