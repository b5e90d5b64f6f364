"""Projects: founding them, changing them, deleting them, and looking how far they are."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import update

from aicq.errors import NotFound, Unprocessable
from aicq.http.resources.fields import given
from aicq.work.models import Project
from aicq.work.repositories import Progress, ProjectFilter, ProjectRepository
from aicq.work.repositories.actors import hold_actor, is_team_of
from aicq.work.schemas.projects import NewProject, ProjectChange
from aicq.work.services.acting import Acting

DECIMALS = ("pr_merge_rate", "test_coverage_percent")


class ProjectService:
    """What an actor can do about projects.

    Args:
        acting: Who asks, within which transaction.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._projects = ProjectRepository(acting.session)

    async def create(self, wanted: NewProject) -> Project:
        """Founds a project, which the caller owns. Postgres refuses a slug that another one has.

        Raises:
            Unprocessable: It is to be for a team that the caller does not belong to.
        """
        if wanted.team_id is not None and not await is_team_of(
            self._acting.session, wanted.team_id, self._acting.seen_by
        ):
            raise Unprocessable("the team is not yours", field="team_id")
        values = {**given(wanted), "owner_id": self._acting.caller.id}
        project = await self._projects.added(id=self._acting.new_id(), **by_attribute(values))
        await self._acting.record("create", Project, project.id, new=values)
        self._acting.tell("project_created", f"began {project.name}", project_id=project.id)
        return project

    async def find(self, project_id: UUID) -> Project:
        """A project that the caller sees.

        Raises:
            NotFound: There is none.
        """
        project = await self._projects.find(project_id, seen_by=self._acting.seen_by)
        if project is None:
            raise NotFound("project not found")
        return project

    async def page(self, wanted: ProjectFilter, *, limit: int, before: UUID | None) -> Sequence[Project]:
        """Projects that the caller sees, the newest first."""
        return await self._projects.page(wanted, limit=limit, before=before, seen_by=self._acting.seen_by)

    async def progress(self, project_ids: Sequence[UUID]) -> dict[UUID, Progress]:
        """How far each of these is."""
        return await self._projects.progress(project_ids)

    async def change(self, project_id: UUID, change: ProjectChange) -> Project:
        """Changes a project.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: The caller does not own it.
            Unprocessable: The new owner is nobody, or would not see it.
        """
        project = await self._own(project_id)
        values = given(change)
        for name in DECIMALS:
            if values.get(name) is not None:
                values[name] = Decimal(values[name])
        if "owner_id" in values and not await hold_actor(self._acting.session, values["owner_id"]):
            raise Unprocessable("the owner is nobody", field="owner_id")
        old = {name: getattr(project, attribute) for name, attribute in zip(values, by_attribute(values), strict=True)}
        values = {name: value for name, value in values.items() if old[name] != value}
        if not values:
            return project
        changed = await self._projects.changed(
            update(Project).where(Project.id == project_id).values(by_attribute(values))
        )
        await self._acting.record("update", Project, project_id, old={n: old[n] for n in values}, new=values)
        self._acting.tell(
            "project_changed", f"changed {project.name}: {', '.join(sorted(values))}", project_id=project_id
        )
        return changed or project

    async def delete(self, project_id: UUID) -> None:
        """Deletes a project with its tasks and its feed; evidence and executions stay.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: The caller does not own it.
        """
        project = await self._own(project_id)
        await self._acting.session.delete(project)
        await self._acting.session.flush()
        old = {"slug": project.slug, "name": project.name, "owner_id": project.owner_id, "team_id": project.team_id}
        await self._acting.record("delete", Project, project_id, old=old)
        self._acting.tell("project_deleted", f"deleted {project.name}")

    async def _own(self, project_id: UUID) -> Project:
        project = await self._projects.find(project_id, seen_by=self._acting.seen_by, locked=True)
        if project is None:
            raise NotFound("project not found")
        self._acting.require(project.owner_id, otherwise="you do not own the project")
        return project


def by_attribute(values: dict[str, Any]) -> dict[str, Any]:
    """Values by the model's attributes; SQLAlchemy keeps the name `metadata` for itself."""
    return {"details" if name == "metadata" else name: value for name, value in values.items()}
