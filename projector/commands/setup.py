"""Commands that prepare what the others need: schema, topics, tokens, the event contract."""

from enum import StrEnum
from typing import Annotated, Final

import typer

from contracts.errors import UsageError

app = typer.Typer()

LONGEST_TTL: Final = 10 * 365 * 86_400
"""Ten years, in seconds."""


class Role(StrEnum):
    """What the bearer of a token may do."""

    VIEWER = "viewer"
    APPROVER = "approver"
    OPERATOR = "operator"


@app.command()
def migrate() -> None:
    """Bring the database to the current schema and create the roles; safe to repeat."""
    from contracts.settings import DatabaseSettings, load
    from projector import migrate as migration
    from projector.database import faults_named, place

    settings = load(DatabaseSettings)
    with faults_named(settings.database_url):
        migration.migrate(settings.database_url)
        outdated = migration.outdated(settings.database_url)
    typer.echo(f"the database at {place(settings.database_url)} has the current schema")
    if outdated is not None:
        typer.echo(f"runfold: {outdated}", err=True)


@app.command()
def topics() -> None:
    """Create missing topics with their configuration, and name those that differ."""
    import asyncio

    from contracts.logging import configure
    from contracts.settings import load
    from projector.kafka.topics import TopicState, create_topics
    from projector.settings import TopicSettings

    settings = load(TopicSettings)
    configure(settings.log_format, clients=False)
    for report in asyncio.run(create_topics(settings, settings.partitions)):
        typer.echo(report, err=report.state is TopicState.DIFFERS)


@app.command()
def token(
    sub: Annotated[
        str, typer.Option(envvar="RUNFOLD_TOKEN_SUB", help="Who bears the token.")
    ] = "developer",
    project: Annotated[
        list[str] | None,
        typer.Option(
            envvar="RUNFOLD_TOKEN_PROJECTS",
            help="Project the bearer may see; repeatable, * is every project.",
            show_default="*",
        ),
    ] = None,
    role: Annotated[
        list[Role] | None,
        typer.Option(
            envvar="RUNFOLD_TOKEN_ROLES",
            help="What the bearer may do; repeatable.",
            show_default="viewer",
        ),
    ] = None,
    ttl: Annotated[
        int,
        typer.Option(
            envvar="RUNFOLD_TOKEN_TTL", min=1, max=LONGEST_TTL, help="Seconds until it expires."
        ),
    ] = 3600,
) -> None:
    """Print a token for the configured HS256 secret (development)."""
    from contracts.settings import AuthSettings, load
    from projector.tokens import make_token

    if not sub:
        raise UsageError("--sub: a token has a bearer: it may not be empty")
    settings = load(AuthSettings)
    typer.echo(make_token(settings, sub, project or ["*"], role or [Role.VIEWER], ttl))


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of the topics."""
    from contracts.asyncapi import document
    from contracts.settings import TopicPrefixSettings, load

    typer.echo(document(load(TopicPrefixSettings).topic_prefix))
