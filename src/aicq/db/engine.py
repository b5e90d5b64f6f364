"""How SQLAlchemy and asyncpg are told where Postgres is."""

from sqlalchemy import make_url


def sqlalchemy_url(database_url: str) -> str:
    """The URL with the driver that SQLAlchemy is to use; query parameters such as `host` and `sslmode` are kept."""
    return make_url(database_url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
