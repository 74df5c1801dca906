"""The browser's page, from the committed bundle: nothing of it comes from another host."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from api.errors import problem

BUNDLE = Path(__file__).parent / "dashboard" / "dist"

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The editor makes style elements and attributes as it draws, hence 'unsafe-inline' for styles, and only there."""

_FOR_EVER = "public, max-age=31536000, immutable"


def index() -> Response:
    """Return the page. It holds no data: what it shows, it asks for as the viewer."""
    if not (BUNDLE / "index.html").is_file():
        return problem(404, "Not Found", "This installation has no page for browsers.", code="NO_BUNDLE")
    return FileResponse(BUNDLE / "index.html", headers={"cache-control": "no-cache", "content-security-policy": POLICY})


class Assets(StaticFiles):
    """The files that the page loads. Those in assets/ have a hash in their names and never change."""

    def __init__(self) -> None:
        super().__init__(directory=BUNDLE, check_dir=False)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return one file."""
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = POLICY
        response.headers["cache-control"] = _FOR_EVER if path.startswith("assets/") else "no-cache"
        return response
