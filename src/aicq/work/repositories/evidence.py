"""Where evidence is kept, and how its pieces hang together."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, func, literal_column, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from aicq.db.repository import Repository
from aicq.work.models import Evidence, EvidenceLink
from aicq.work.repositories.visibility import is_seen_within
from aicq.work.repositories.words import holds_all

# Spelled as the index has it.
IS_UNVERIFIED: ColumnElement[bool] = literal_column("verified_at IS NULL")


class EvidenceFilter(msgspec.Struct, frozen=True):
    """Which evidence is wanted; None asks for nothing, and of tags all must be there."""

    project_id: UUID | None = None
    task_id: UUID | None = None
    source_type: str | None = None
    is_verified: bool | None = None
    tags: tuple[str, ...] = ()


class Links(msgspec.Struct, frozen=True):
    """What a piece of evidence hangs together with.

    Args:
        related: What belongs to it.
        contradicting: What contradicts it.
    """

    related: list[UUID] = []
    contradicting: list[UUID] = []


class EvidenceRepository(Repository[Evidence]):
    """Evidence and the links between its pieces."""

    model_type = Evidence

    async def find(self, name: UUID | str, *, seen_by: UUID | None = None, locked: bool = False) -> Evidence | None:
        """The evidence with this id or code, if the actor sees it; locked against others if it is to change."""
        is_named = Evidence.id == name if isinstance(name, UUID) else Evidence.code == name
        statement = select(Evidence).where(is_named, is_visible(seen_by))
        return await self.session.scalar(statement.with_for_update(key_share=True) if locked else statement)

    async def page(
        self, wanted: EvidenceFilter, *, limit: int, before: UUID | None = None, seen_by: UUID | None = None
    ) -> Sequence[Evidence]:
        """Evidence that the actor sees, the newest first; only what is older than `before`."""
        statement = select(Evidence).where(is_visible(seen_by)).order_by(Evidence.id.desc()).limit(limit)
        for name in ("project_id", "task_id", "source_type"):
            value = getattr(wanted, name)
            if value is not None:
                statement = statement.where(getattr(Evidence, name) == value)
        if wanted.is_verified is not None:
            statement = statement.where(Evidence.verified_at.is_not(None) if wanted.is_verified else IS_UNVERIFIED)
        if wanted.tags:
            statement = statement.where(holds_all(Evidence.id, Evidence.tags, wanted.tags))
        if before is not None:
            statement = statement.where(Evidence.id < before)
        return (await self.session.scalars(statement)).all()

    async def most_credible(self, *, at_least: Decimal, limit: int) -> Sequence[Evidence]:
        """The most credible evidence, best first, down to a score."""
        statement = select(Evidence).where(Evidence.credibility_score >= at_least)
        best = statement.order_by(Evidence.credibility_score.desc(), Evidence.id).limit(limit)
        return (await self.session.scalars(best)).all()

    async def score(self, evidence_id: UUID, score: Decimal, *, method: str, scorer: UUID | None) -> Evidence | None:
        """Keeps what a scorer computed, by which method; None if there is no such evidence."""
        values = {"computed_score": score, "scoring_method": method, "scored_by": scorer}
        return await self._change(evidence_id, values)

    async def verify(self, evidence_id: UUID, verifier: UUID | None) -> Evidence | None:
        """Has somebody answer for a piece of evidence; None if there is none or somebody does already."""
        statement = update(Evidence).where(Evidence.id == evidence_id, IS_UNVERIFIED)
        return await self.changed(statement.values(verified_by=verifier, verified_at=func.now()))

    async def doubt(self, evidence_id: UUID) -> Evidence | None:
        """Takes the verification back; None if there is no such evidence."""
        return await self._change(evidence_id, {"verified_by": None, "verified_at": None})

    async def links(self, evidence_ids: Sequence[UUID], *, seen_by: UUID | None = None) -> dict[UUID, Links]:
        """What each of these hangs together with, seen from its end, and seen by the actor; one statement for all."""
        found = {evidence_id: Links([], []) for evidence_id in evidence_ids}
        touching = or_(EvidenceLink.low_id.in_(evidence_ids), EvidenceLink.high_id.in_(evidence_ids))
        statement = select(EvidenceLink).where(touching).order_by(EvidenceLink.low_id, EvidenceLink.high_id)
        if seen_by is not None:
            for column in (EvidenceLink.low_id, EvidenceLink.high_id):
                seen = select(Evidence.id).where(Evidence.id == column, is_visible(seen_by)).exists()
                statement = statement.where(seen)
        for link in await self.session.scalars(statement):
            for end, other in ((link.low_id, link.high_id), (link.high_id, link.low_id)):
                if end in found:
                    (found[end].related if link.kind == "related" else found[end].contradicting).append(other)
        return found

    async def link(self, one: UUID, other: UUID, *, kind: str, by: UUID | None) -> None:
        """Says how two pieces hang together; what was said before of the pair is replaced."""
        low, high = sorted((one, other))
        statement = insert(EvidenceLink).values(low_id=low, high_id=high, kind=kind, created_by=by)
        replaced = {"kind": statement.excluded.kind, "created_by": by, "created_at": func.now()}
        await self.session.execute(statement.on_conflict_do_update(index_elements=["low_id", "high_id"], set_=replaced))

    async def unlink(self, one: UUID, other: UUID) -> bool:
        """Takes back what was said of a pair; whether anything was."""
        low, high = sorted((one, other))
        statement = delete(EvidenceLink).where(EvidenceLink.low_id == low, EvidenceLink.high_id == high)
        return await self.session.scalar(statement.returning(EvidenceLink.low_id)) is not None

    async def _change(self, evidence_id: UUID, values: dict[str, object]) -> Evidence | None:
        return await self.changed(update(Evidence).where(Evidence.id == evidence_id).values(values))


def is_visible(seen_by: UUID | None) -> ColumnElement[bool]:
    """Whether an actor sees evidence: they see its project, or it is their own."""
    return is_seen_within(Evidence.project_id, seen_by, Evidence.author_id)
