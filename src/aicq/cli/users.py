"""`aicq user`."""

import sys

import click

from aicq import settings


@click.group()
def user() -> None:
    """Manage people's accounts."""


@user.command()
@click.argument("email")
@click.option("--admin", "is_admin", is_flag=True, help="Let them do everything under /admin.")
@click.option("--username", help="How they log in besides by email; made from the email if it is not given.")
@click.option("--display-name", help="How they are shown.")
def create(email: str, username: str | None, display_name: str | None, *, is_admin: bool) -> None:
    """Make an account. The password is asked for on the terminal, or is the first line that is piped in."""
    from aicq.identity.commands import create_user  # noqa: PLC0415 - help is to appear at once
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    password = _password()
    with open_database(settings.load()) as url:
        made = create_user(
            url,
            role="admin" if is_admin else "user",
            email=email,
            password=password,
            username=username,
            display_name=display_name,
        )
    click.echo(f"{made.id}  {made.username}  {made.role}")


def _password() -> str:
    """Never taken from the command line, where everybody on the machine can read it."""
    if sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return password
    return sys.stdin.readline().rstrip("\r\n")
