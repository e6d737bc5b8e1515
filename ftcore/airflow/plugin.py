"""The ftcore page inside Airflow's UI: a small FastAPI app behind Airflow's own login, shown as an external view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from ftcore.ledger import Ledger, open_ledger
from ftcore.stack.page import overviews, render, report_file
from ftcore.stack.project import spec_names
from ftcore.store import Store

PREFIX = "/ftcore"
# Whoever may see Airflow's UI may see this page; the same cookie or bearer token is checked.
may_look = Depends(requires_access_view(AccessView.WEBSITE))

app = FastAPI(title="ftcore", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[may_look])


def ledger() -> Ledger:
    return open_ledger()


@app.get("/")
def page(ledger: Annotated[Ledger, Depends(ledger)]) -> HTMLResponse:
    """All specs at a glance."""
    names = spec_names(Path(conf.get("core", "dags_folder")) / "specs")
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
    return HTMLResponse(render(overviews(ledger, names), PREFIX), headers={"Content-Security-Policy": policy})


@app.get("/files/{uri:path}")
def files(uri: str) -> FileResponse:
    """A report file of the store. Sandboxed: its scripts run, but not as the page of the user who is logged in here."""
    path = report_file(Store(), uri)
    if path is None:
        raise HTTPException(404, "No such report.")
    media_type = "text/plain; charset=utf-8" if path.suffix in (".md", ".txt") else None
    headers = {"Content-Security-Policy": "sandbox allow-scripts allow-popups", "X-Content-Type-Options": "nosniff"}
    return FileResponse(path, media_type=media_type, headers=headers)


@app.exception_handler(HTTPException)
async def log_in_first(request: Request, error: HTTPException) -> Response:
    """A browser without a valid login goes to Airflow's login page and comes back; a program gets the status."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(get_auth_manager().get_url_login(next_url=str(request.url)))
    return JSONResponse({"detail": error.detail}, error.status_code)


class FtcorePlugin(AirflowPlugin):  # type: ignore[misc]
    """Registers the app and its entry in the navigation."""

    name = "ftcore"
    fastapi_apps = [{"app": app, "url_prefix": PREFIX, "name": "ftcore"}]
    external_views = [
        {"name": "ftcore", "href": f"{PREFIX}/", "destination": "nav", "url_route": "ftcore", "nav_top_level": True}
    ]
