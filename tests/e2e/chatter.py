# SPDX-License-Identifier: Apache-2.0
"""Many live connections that keep exchanging bytes with an echo behind the door, in a thread of their own."""
import asyncio
import ssl
import threading
import time

from run import SLOW
from tls import client_hello


class Chatter:
    """`passed` raw connections through a pass route (what they send first is a ClientHello, echoed like the rest) and
    `terminated` TLS connections. Each writes, reads its own bytes back, pauses, and again, until stop()."""

    def __init__(self, door, *, passed=0, pass_sni="pass.test", terminated=0, tls_sni="www.test", pause=0.05):
        self.door = door
        self.pause = pause
        self.lost = []
        self.rounds = [0] * (passed + terminated)
        self.stopping = False
        self.hello = client_hello(pass_sni)
        self.kinds = ["pass"] * passed + [tls_sni] * terminated
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ctx.check_hostname, self.ctx.verify_mode = False, ssl.CERT_NONE
        self.thread = threading.Thread(target=lambda: asyncio.run(self.all()), daemon=True)
        self.thread.start()

    async def all(self):
        gate = asyncio.Semaphore(32)
        await asyncio.gather(*(self.one(i, kind, gate) for i, kind in enumerate(self.kinds)))

    async def one(self, index, kind, gate):
        writer = None
        try:
            async with gate:
                if kind == "pass":
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
                    writer.write(self.hello)
                    await reader.readexactly(len(self.hello))
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port, ssl=self.ctx,
                                                                   server_hostname=kind)
            while not self.stopping:
                words = f"{index} {self.rounds[index]} ".encode() * 20
                writer.write(words)
                back = await asyncio.wait_for(reader.readexactly(len(words)), 10 * SLOW)
                if back != words:
                    raise ValueError("other bytes came back")
                self.rounds[index] += 1
                await asyncio.sleep(self.pause)
        except Exception as error:  # whatever it was, the connection is lost and the test must say so
            self.lost.append(f"{kind} {index} after {self.rounds[index]} rounds: {error!r}")
        finally:
            if writer is not None:
                writer.close()

    def wait_rounds(self, more, timeout=30.0):
        """Until every connection that is not lost has done `more` further rounds."""
        before = list(self.rounds)
        end = time.monotonic() + timeout * SLOW
        while not self.lost and not all(now >= then + more for now, then in zip(self.rounds, before)):
            assert time.monotonic() < end, f"only {sum(n > t for n, t in zip(self.rounds, before))} went on"
            time.sleep(0.02)
        assert not self.lost, self.lost[:5]

    def stop(self):
        """End all; fails when one was lost."""
        self.stopping = True
        self.thread.join(30 * SLOW)
        assert not self.lost, f"{len(self.lost)} lost: {self.lost[:5]}"
