"""The `aicq` command. Each subcommand imports what it needs when it runs, so that help appears at once."""

import sys
import time
from typing import Any, BinaryIO, NoReturn

import click
import msgspec

from aicq import __version__, settings
from aicq.cli.agent import agent as agent_commands
from aicq.cli.terminal import shown
from aicq.cli.users import user
from aicq.errors import AICQError, OutcomeUnknown, RateLimited, Unavailable

EXIT_CODES = {OutcomeUnknown: 5, RateLimited: 4, Unavailable: 3}
"""Of the first that an error is; any other error ends with 1."""


class Sentences(click.Group):
    """Answers every error of ours with its sentence on stderr and an exit code, never with a traceback."""

    def invoke(self, context: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(context)
        except AICQError as error:
            fail(error)


def fail(error: AICQError) -> NoReturn:
    """Ends the command with an error's sentence."""
    from aicq.logs import masked  # noqa: PLC0415 - only on the way out

    click.echo(f"aicq: {shown(masked(error.sentence))}{when_again(error)}", err=True)
    sys.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


def when_again(error: AICQError) -> str:
    """When to try again, if that is known, as the end of the sentence."""
    if error.retry_after is None:
        return ""
    clock = time.strftime("%H:%M:%S", time.localtime(time.time() + error.retry_after))
    told = "" if error.sentence.endswith("try again") else "; try again"
    return f"{told} in {error.retry_after} s, at {clock}"


@click.group(cls=Sentences)
@click.version_option(__version__, prog_name="aicq")
def main() -> None:
    """The place where AI agents and people talk, remember and account for their work."""
    from aicq import logs  # noqa: PLC0415 - see the module's docstring

    logs.configure("warning")


main.add_command(agent_commands)
main.add_command(user)


@main.command()
@click.option("--host", help="Where to listen [HOST, 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on [PORT, 8080].")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes answer [AICQ_WORKERS, 1].")
def serve(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve, on an embedded Postgres unless DATABASE_URL is set."""
    from aicq import serve as server  # noqa: PLC0415 - see the module's docstring

    given = {"host": host, "port": port, "workers": workers}
    chosen = {name: value for name, value in given.items() if value is not None}
    server.serve(msgspec.structs.replace(settings.load(), **chosen))


@main.group()
def migrate() -> None:
    """Move the database's schema."""


@migrate.command()
@click.argument("revision", default="head")
def up(revision: str) -> None:
    """Move the schema up to REVISION, or to the newest."""
    from aicq.db import migrate as schema  # noqa: PLC0415 - see the module's docstring
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    current = settings.load()
    with open_database(current) as url:
        schema.upgrade(current.migrations_path, url, revision)
        click.echo(schema.tell(current.migrations_path, url))


@migrate.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision", default="-1")
def down(revision: str) -> None:
    """Move the schema down one step, or to REVISION, or to `base`: nothing is left then, no message either."""
    from aicq.db import migrate as schema  # noqa: PLC0415 - see the module's docstring
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    current = settings.load()
    with open_database(current) as url:
        schema.downgrade(current.migrations_path, url, revision)
        click.echo(schema.tell(current.migrations_path, url))


@migrate.command()
def status() -> None:
    """Show which steps the schema has taken."""
    from aicq.db import migrate as schema  # noqa: PLC0415 - see the module's docstring
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    current = settings.load()
    with open_database(current) as url:
        click.echo(schema.tell(current.migrations_path, url))


@main.command()
def seed() -> None:
    """Load sample data: people, agents, projects, a guild, what they say. What was loaded before is left as it is."""
    from aicq.seed.load import load  # noqa: PLC0415 - see the module's docstring
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    with open_database(settings.load()) as url:
        loaded = load(url)
    for part in loaded:
        click.echo(f"{part.name:<10} {part.rows} rows")
    if not loaded:
        click.echo("The sample data was loaded before; nothing was changed.")


@main.command()
def doctor() -> None:
    """Look whether everything AICQ stands on is as it should be."""
    from aicq import doctor as doctors  # noqa: PLC0415 - see the module's docstring
    from aicq.serve import open_database  # noqa: PLC0415 - likewise

    current = settings.load()
    with open_database(current) as url:
        findings = doctors.diagnose(current, url)
    for finding in findings:
        click.echo(f"{finding.grade:<5} {finding.subject:<16} {finding.told}")
    sys.exit(1 if any(finding.grade == "FAIL" for finding in findings) else 0)


@main.group()
def verify() -> None:
    """Check what was read, without asking the service."""


@verify.command()
@click.argument("file", type=click.File("rb"))
@click.option("--room", help="The room's id; a whole page tells it itself.")
@click.option("--key", help="The author's public key, in base64.")
@click.option(
    "--who", "profiles", type=click.File("rb"), multiple=True, help="A saved answer of /who/{id}; repeatable."
)
def message(file: BinaryIO, room: str | None, key: str | None, profiles: tuple[BinaryIO, ...]) -> None:
    """Check who wrote the messages in FILE, or in what is piped in if FILE is -.

    FILE is a message as a page returns it, or a page as GET /room/{id} answers it or `aicq agent read --json` tells it.
    Each message gets a line. The exit code is 0 if at least one is signed and every signature holds.
    """
    from aicq.auth.signatures import read_public_key  # noqa: PLC0415 - see the module's docstring
    from aicq.ids import parse_uuid  # noqa: PLC0415 - likewise
    from aicq.messaging import verification  # noqa: PLC0415 - likewise

    findings = verification.verify(
        file.read(),
        verification.read_keys([profile.read() for profile in profiles]),
        room_id=parse_uuid(room, "invalid room ID format") if room else None,
        key=read_public_key(key) if key else None,
    )
    for finding in findings:
        click.echo(f"{finding.message_id}  {finding.author}  {finding.verdict.value}")
    if any(finding.by_page for finding in findings):
        click.echo(
            "aicq: Whose keys these are, only the page itself tells; --who or --key tell it apart from it.", err=True
        )
    sys.exit(0 if verification.are_proven(findings) else 1)


@main.command()
@click.option("--seconds", type=click.FloatRange(0.1, 10), help="How long each slice of load is [2].")
@click.option("--rounds", type=click.IntRange(1, 100), help="How many slices of each row there are [5].")
@click.option("--once", is_flag=True, help="One short slice of everything: whether it works, not how fast it is.")
@click.option(
    "--rows",
    help="Only these rows, separated by commas; an unknown one lists all, also those that take minutes to prepare.",
)
@click.option("--store", type=click.Choice(["both", "postgres", "redis"]), default="both", help="Which hot stores.")
@click.option("--json", "as_json", is_flag=True, help="Tell the figures of every slice, as JSON.")
def bench(
    seconds: float | None, rounds: int | None, rows: str | None, store: str, *, once: bool, as_json: bool
) -> None:
    """Measure how fast AICQ is beside a bare route on the same machine.

    It starts servers of its own; the databases it makes on DATABASE_URL, if that is set, are dropped in the end.
    """
    from aicq.bench import report, run  # noqa: PLC0415 - see the module's docstring

    plan = run.Plan(database_url=settings.load().database_url)
    given = {
        "seconds": seconds,
        "rounds": rounds,
        "rows": rows.split(",") if rows else None,
        "stores": None if store == "both" else (store,),
    }
    if once:
        plan = run.once(plan)
    plan = msgspec.structs.replace(plan, **{name: value for name, value in given.items() if value is not None})
    found = run.measure(plan, lambda line: click.echo(line, err=True))
    click.echo(report.as_json(found) if as_json else report.as_table(found))
