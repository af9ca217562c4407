"""The command line: serve until SIGTERM or SIGINT; a second signal ends at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from server import config as options
from server import production, telemetry
from server.config import Config
from server.watchdog import EXIT_LOST

_SWITCH_SECONDS = 0.0005


def main() -> int:
    """Run the server. Returns 0 after a stop that was asked for, 1 without a start, 70 with a hung worker."""
    config = options.parse(sys.argv[1:], os.environ)
    # Many poems share one interpreter: at the default of 5 ms steps and the event loop wait for each other.
    sys.setswitchinterval(_SWITCH_SECONDS)
    log = telemetry.configure(level=config.log_level, style=config.log_format, poems=config.log_poems)
    with closing(log):
        telemetry.event("starting", **config.described())
        try:
            production.check_user(production=config.production)
        except production.NotForRoot as error:
            return _refuse(error)
        status = asyncio.run(_serve(config))
    if status == EXIT_LOST:
        # A thread hangs, and an ordinary end would wait for it.
        os._exit(status)
    return status


async def _serve(config: Config) -> int:
    # Here, so that a wrong flag is answered before the libraries are loaded.
    from index_builder.artifact import EncoderMismatch, IndexMissing
    from index_builder.device import DeviceUnavailable
    from index_builder.index import IndexUnreachable
    from models.bundle import CorruptArtifact
    from models.session import ProviderUnavailable
    from server.app import App
    from server.observability import CannotObserve
    from server.reloading import UnusableFile
    from server.transport import CannotListen

    stopping = _stop_on_signals()
    try:
        app = App(config)
    except UnusableFile as error:
        return _refuse(error)
    try:
        await app.listen()
        await _unless(stopping, app.make_ready())
    except (
        CannotListen,
        CannotObserve,
        CorruptArtifact,
        DeviceUnavailable,
        EncoderMismatch,
        IndexMissing,
        IndexUnreachable,
        ProviderUnavailable,
        UnusableFile,
    ) as error:
        await app.stop()
        return _refuse(error)
    if not stopping.is_set():
        _announce(app.address, config.port_file)
        await stopping.wait()
    await app.drain()
    return 0 if await app.let_go() else EXIT_LOST


def _refuse(error: Exception) -> int:
    """Say in one line why there is no server."""
    print(f"server: {' '.join(str(error).split())}", file=sys.stderr)
    return 1


def _stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set; a second one kills the process as it would any other."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopping


async def _unless(stopping: asyncio.Event, work: object) -> None:
    """Wait for `work`, or for the wish to stop, whichever is sooner."""
    task, wish = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())  # type: ignore[call-overload]
    await asyncio.wait((task, wish), return_when=asyncio.FIRST_COMPLETED)
    wish.cancel()
    if task.done():
        task.result()
    else:
        task.cancel()


def _announce(address: str, port_file: Path | None) -> None:
    """Tell programs where the server is: a line of JSON on stdout, and the file, which appears whole."""
    print(json.dumps({"event": "serving", "address": address, "pid": os.getpid()}), flush=True)
    if port_file is not None:
        draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        draft.write_text(f"{address}\n", encoding="ascii")
        draft.replace(port_file)


if __name__ == "__main__":
    sys.exit(main())
