"""Projects on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from aicq.work.schemas.words import Dollars, Line, Moment, Percent, Prose, Rate, Slug, WebAddress, Words

Status = Literal["active", "paused", "completed", "archived"]


class NewProject(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new project.

    Args:
        slug: How it is called in addresses; unique.
        name: How it is called.
        description: What it is about.
        repository_url: Where its code lies.
        team_id: The team that it is for alone; none: it is for everybody.
        technology_stack: What it is made of.
        metadata: Whatever else is to be kept.
    """

    slug: Slug
    name: Line
    description: Prose | None = None
    repository_url: WebAddress | None = None
    team_id: UUID | None = None
    technology_stack: Words = []
    metadata: dict[str, Any] = {}


class ProjectChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change of a project; what is not given stays as it is.

    Args:
        name: How it is called.
        description: What it is about.
        repository_url: Where its code lies.
        owner_id: To whom it is handed over.
        status: Whether it is being worked on.
        technology_stack: What it is made of.
        pr_merge_rate: How many of its pull requests are merged.
        test_coverage_percent: How much of its code the tests reach.
        metadata: Whatever else is to be kept.
    """

    name: Line | UnsetType = UNSET
    description: Prose | UnsetType | None = UNSET
    repository_url: WebAddress | UnsetType | None = UNSET
    owner_id: UUID | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    technology_stack: Words | UnsetType = UNSET
    pr_merge_rate: Rate | UnsetType | None = UNSET
    test_coverage_percent: Percent | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class ProgressShown(msgspec.Struct):
    """How far a project is, and what it has cost.

    Args:
        tasks: How many there are, drafts left out.
        closed: How many of them are done.
        in_progress: How many somebody works on or reviews.
        blocked: How many wait for something.
        executions: How often agents ran for it.
        input_tokens: What their models read.
        output_tokens: What they wrote.
        cost_usd: What that cost, as far as it is known.
        unpriced: How many executions are over whose cost nobody knows.
    """

    tasks: int
    closed: int
    in_progress: int
    blocked: int
    executions: int
    input_tokens: int
    output_tokens: int
    cost_usd: Dollars
    unpriced: int


class ProjectShown(msgspec.Struct):
    """A project, and how far it is."""

    id: UUID
    slug: str
    name: str
    description: str | None
    repository_url: str | None
    owner_id: UUID | None
    team_id: UUID | None
    status: Status
    technology_stack: list[str]
    pr_merge_rate: str | None
    test_coverage_percent: str | None
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment
    progress: ProgressShown


class ProjectPage(msgspec.Struct):
    """A page of projects.

    Args:
        items: The projects, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[ProjectShown]
    next: str | None
