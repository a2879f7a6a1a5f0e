# SPDX-License-Identifier: Apache-2.0
"""A door with few file descriptors: what needs none is not turned away for want of them, and what would need more than
there are is turned away with a reason, before anything fails."""
import contextlib
import time

import tls
from agents import Agent
from door import to_yaml
from fixtures import clean_env, connect_words
from run import SLOW, Process, free_port, ms, wait_until

FILES, RESERVED = 110, 16


def config(pki, **more):
    return {
        "certificates": [pki.server("door.test").row(), pki.server("*.apps.test").row()],
        "trust": [pki.trust()],
        "routes": [
            {"name": "tunnel", "sni": "door.test", "tunnel": {}, "clients": {"mode": "required", "trust": "staff"}},
            {"name": "apps", "sni": "*.apps.test", "expose": {}, "clients": {"mode": "optional", "trust": "staff"}},
        ],
        "policy": [{"name": "ops", "who": {"group": "ops"},
                    "targets": ["127.0.0.0/8:*", "name:*.apps.test", "offer:*.apps.test", "public:*.apps.test"]}],
        "limits": {"dial_timeout": ms(5000), "reserved_fds": RESERVED},
        **more,
    }


def offer(tmp_path, door, pki, to, count, transport):
    names = [f"n{number}.apps.test" for number in range(count)]
    file = tmp_path / "services.yaml"
    file.write_text(to_yaml({"services": [{"name": name, "to": to, "kind": "public"} for name in names]}))
    return Agent(tmp_path, door.address, pki, "-c", file, "--transport", transport, "--grace", "0s")


def held(door, pki, count):
    """So many visitors at once; those who were served."""
    ctx, served = tls.context(pki.ca.file), []
    for _ in range(count):
        with contextlib.suppress(OSError):
            raw = door.dial()
            sock = ctx.wrap_socket(raw, server_hostname="n0.apps.test")
            sock.sendall(b"x")
            served.append(sock)
    out = []
    for sock in served:
        with contextlib.suppress(OSError):
            if sock.recv(1) == b"x":
                out.append(sock)
    return out


def no_shortage(door):
    """Nothing has failed for want of a descriptor, and the reserve is there but for what the door does beside."""
    assert not [line for line in door.audit() if line["reason"] == "no_descriptor"]
    assert door.process.open_files() <= FILES - RESERVED + 4, door.process.open_files()


def test_offers_over_quic_need_none(start_door, pki, tmp_path, echo):
    door = start_door(config(pki), nofile=FILES)
    before = door.process.open_files()
    agent = offer(tmp_path, door, pki, echo.to, 200, "quic")
    wait_until(lambda: agent.output().count("offering") == 200, lambda: agent.output()[-500:], 30)
    assert door.process.open_files() <= before + 4
    for sock in held(door, pki, 3):
        sock.close()
    no_shortage(door)
    agent.stop()


def test_offers_over_tcp_need_one(start_door, pki, tmp_path, echo):
    """Beside the connections that wait, of which none are kept once descriptors are few."""
    door = start_door(config(pki, workers=1), nofile=FILES)
    agent = offer(tmp_path, door, pki, echo.to, 60, "tcp")
    # One that was turned away, for what is kept for others as yet, tries again later and later.
    wait_until(lambda: agent.output().count("offering") == 60, lambda: agent.output()[-500:], 30)
    no_shortage(door)
    wait_until(lambda: len(held(door, pki, 1)) == 1, "a visitor to be served: what was kept before is let go", 30)
    agent.stop()


def test_visitors_over_bridges(start_door, pki, tmp_path, echo):
    """A visitor who comes to another worker than the agent's needs two more descriptors, not one."""
    door = start_door(config(pki), nofile=FILES)
    agent = offer(tmp_path, door, pki, echo.to, 1, "quic")
    agent.says("offering")
    served = held(door, pki, 100)
    no_shortage(door)
    assert 15 < len(served) < 60
    for reason in {line["reason"] for line in door.audit()}:
        assert reason in ("limit_connections", "no_agent"), reason
    for sock in served:
        sock.close()
    wait_until(lambda: len(held(door, pki, 1)) == 1, "room again")
    agent.stop()


def test_tunnels_over_quic_need_one(start_door, pki, tmp_path, echo):
    """Streams of one connection, each with its target."""
    door = start_door(config(pki, quic={"streams": 200}), nofile=FILES)
    port = free_port()
    client = Process([*connect_words(door, pki.alice, pki.ca.file), "--transport", "quic", "-L", f"{port}:{echo.to}"],
                     tmp_path, "connect", env=clean_env(tmp_path, CARDEA_SHARE="0"))
    wait_until(lambda: "listening on" in client.output(), client.output)
    socks, served = [], 0
    for _ in range(100):
        sock = door.dial(port=port)
        sock.sendall(b"x")
        socks.append(sock)
        with contextlib.suppress(OSError):
            served += sock.recv(1) == b"x"
    no_shortage(door)
    assert 60 < served < 100
    for sock in socks:
        sock.close()
    time.sleep(0.3 * SLOW)
    client.stop()
