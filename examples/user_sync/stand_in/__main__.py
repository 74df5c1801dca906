"""`python -m examples.user_sync.stand_in`: run the stand-in until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from aiohttp import web

from examples.user_sync.stand_in.app import StandIn, build_app
from examples.user_sync.stand_in.directory import Directory
from examples.user_sync.stand_in.trouble import Faults, RateLimit


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.user_sync.stand_in",
        description="A GraphQL API with users, for the sync to read. The same options give the same users and faults.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=4000, help="port to listen on; 0: any free one")
    parser.add_argument("--token", default="stand-in", help="the bearer token it accepts")
    parser.add_argument("--users", type=int, default=5000, help="how many users there are")
    parser.add_argument("--touched", type=int, default=0, help="users that changed since the others were made")
    parser.add_argument("--failing-every", type=int, default=97, help="every n-th user cannot be read; 0: none")
    parser.add_argument("--fault-every", type=int, default=20, help="every n-th request fails; 0: none")
    parser.add_argument("--rate", type=int, default=25, help="requests per second; 0: no limit")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds that every answer takes")
    parser.add_argument("--slow", type=float, default=1.5, help="seconds that a slow answer takes")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    directory = Directory(options.users, options.failing_every)
    directory.touch(options.touched)
    app = build_app(
        StandIn(
            directory,
            options.token,
            Faults(options.fault_every),
            RateLimit(options.rate),
            delay_s=options.delay,
            slow_s=options.slow,
        )
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"{options.users} users at http://{host}:{port}/graphql\n")
        sys.stdout.flush()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()


def main() -> int:
    """Run until a signal; 1 where the port is taken."""
    options = _parser().parse_args()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(options))
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {options.host}:{options.port}: {error.strerror}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
