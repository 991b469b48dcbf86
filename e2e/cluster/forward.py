"""Carry connections from the host into the node's network namespace, byte for byte.

The listening socket is made on the host and handed over as an open file; this process is then started
inside the namespace and connects there. A socket stays in the namespace it was made in, so no route
between the two is needed, and TLS, WebSockets and kubectl's streams pass untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys

_CHUNK = 256 * 1024


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction to its end, then pass the end on: each direction closes on its own."""
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    """Join one accepted connection to a new one; closes it at once when nobody listens there."""
    try:
        onward_reader, onward_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    try:
        await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
    finally:
        for each in (writer, onward_writer):
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()


async def serve(listener: socket.socket, host: str, port: int) -> None:
    """Accept on ``listener`` until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Open connections are cut off at the end; asyncio would report each as an error otherwise.
        with contextlib.suppress(asyncio.CancelledError):
            await relay(reader, writer, host, port)

    server = await asyncio.start_server(accepted, sock=listener)
    await stopped.wait()
    server.close()


def main() -> None:
    """``python3 forward.py FD HOST PORT``"""
    descriptor, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    asyncio.run(serve(listener, host, port))


if __name__ == "__main__":
    main()
