"""The OpenAPI document as the code says it; run as a program, it writes `docs/openapi.yaml`."""

from pathlib import Path

from litestar import Litestar

from aicq.app import create_app
from aicq.http.pages import openapi_yaml
from aicq.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "openapi.yaml"


def app() -> Litestar:
    """Made without a database: nothing is opened before the app starts."""
    settings = Settings(database_url="postgresql://nowhere/none", data_dir=ROOT, migrations_path=ROOT / "migrations")
    return create_app(settings)


def document() -> str:
    return openapi_yaml(app().openapi_schema.to_schema())


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
