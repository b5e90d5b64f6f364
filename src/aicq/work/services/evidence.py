"""Evidence: bringing it forward, scoring and verifying it, and saying what contradicts it."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import update

from aicq.errors import Conflict, Forbidden, NotFound, Unprocessable
from aicq.http.resources.fields import given
from aicq.work.models import Evidence, EvidenceLink
from aicq.work.repositories import EvidenceFilter, EvidenceRepository, Links, ProjectRepository
from aicq.work.schemas.evidence import EvidenceChange, LinkKind, NewEvidence, NewScore
from aicq.work.services.acting import Acting
from aicq.work.services.subjects import see_subject
from aicq.work.services.tasks import unique

VERIFIED_FOR = ("claim", "content", "source_type", "source_url", "claimed_score")
"""What somebody has verified; who changes it has it verified anew."""


class EvidenceService:
    """What an actor can do about evidence.

    Args:
        acting: Who asks, within which transaction.
    """

    def __init__(self, acting: Acting) -> None:
        self._acting = acting
        self._evidence = EvidenceRepository(acting.session)

    async def submit(self, wanted: NewEvidence) -> Evidence:
        """Brings evidence forward.

        Raises:
            NotFound: There is no such task or project that the caller sees.
            Unprocessable: The task is of another project.
        """
        await see_subject(self._acting, wanted.project_id, wanted.task_id)
        values = {**given(wanted), "tags": unique(wanted.tags), "author_id": self._acting.caller.id}
        values["claimed_score"] = decimal(wanted.claimed_score)
        evidence = await self._evidence.added(id=self._acting.new_id(), **values)
        await self._acting.record("create", Evidence, evidence.id, new={**values, "code": evidence.code})
        self._tell("evidence_submitted", f"brought {evidence.code} forward", evidence)
        return evidence

    async def find(self, name: UUID | str, *, locked: bool = False) -> Evidence:
        """Evidence that the caller sees, by its id or its code.

        Raises:
            NotFound: There is none.
        """
        evidence = await self._evidence.find(name, seen_by=self._acting.seen_by, locked=locked)
        if evidence is None:
            raise NotFound("evidence not found")
        return evidence

    async def page(self, wanted: EvidenceFilter, *, limit: int, before: UUID | None) -> Sequence[Evidence]:
        """Evidence that the caller sees, the newest first."""
        return await self._evidence.page(wanted, limit=limit, before=before, seen_by=self._acting.seen_by)

    async def links(self, evidence_ids: Sequence[UUID]) -> dict[UUID, Links]:
        """What each of these hangs together with, as far as the caller sees it."""
        return await self._evidence.links(evidence_ids, seen_by=self._acting.seen_by)

    async def change(self, name: UUID | str, change: EvidenceChange) -> Evidence:
        """Changes evidence of one's own; what was verified of it is to be verified anew.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: It is somebody else's.
        """
        evidence = await self.find(name, locked=True)
        self._acting.require(evidence.author_id, otherwise="the evidence is not yours")
        values = given(change)
        if "claimed_score" in values:
            values["claimed_score"] = decimal(values["claimed_score"])
        if "tags" in values:
            values["tags"] = unique(values["tags"])
        values = {field: value for field, value in values.items() if getattr(evidence, field) != value}
        if not values:
            return evidence
        if evidence.is_verified and values.keys() & set(VERIFIED_FOR):
            values |= {"verified_by": None, "verified_at": None}
        old = {field: getattr(evidence, field) for field in values}
        await self._evidence.changed(update(Evidence).where(Evidence.id == evidence.id).values(values))
        await self._acting.record("update", Evidence, evidence.id, old=old, new=values)
        return evidence

    async def score(self, name: UUID | str, wanted: NewScore) -> Evidence:
        """Keeps how credible somebody else than the author computed it to be.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: It is their own.
        """
        evidence = await self._of_somebody_else(name, "you cannot score your own evidence")
        old = {field: getattr(evidence, field) for field in ("computed_score", "scoring_method", "scored_by")}
        score, method, scorer = Decimal(wanted.score), given(wanted)["method"], self._acting.caller.id
        new = {"computed_score": score, "scoring_method": method, "scored_by": scorer}
        await self._evidence.score(evidence.id, score, method=method, scorer=scorer)
        await self._acting.record("update", Evidence, evidence.id, old=old, new=new)
        return evidence

    async def verify(self, name: UUID | str) -> Evidence:
        """Answers for evidence of somebody else.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: It is their own.
            Conflict: Somebody answers for it already.
        """
        evidence = await self._of_somebody_else(name, "you cannot verify your own evidence")
        if await self._evidence.verify(evidence.id, self._acting.caller.id) is None:
            raise Conflict(f"{evidence.code} is verified already")
        await self._acting.record("update", Evidence, evidence.id, new={"verified_by": self._acting.caller.id})
        self._tell("evidence_verified", f"verified {evidence.code}", evidence)
        return evidence

    async def doubt(self, name: UUID | str) -> Evidence:
        """Takes a verification back.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: Somebody else has verified it.
        """
        evidence = await self.find(name, locked=True)
        if not evidence.is_verified:
            return evidence
        self._acting.require(evidence.verified_by, otherwise="somebody else has verified it")
        old = {"verified_by": evidence.verified_by}
        await self._evidence.doubt(evidence.id)
        await self._acting.record("update", Evidence, evidence.id, old=old, new={"verified_by": None})
        self._tell("evidence_doubted", f"took the verification of {evidence.code} back", evidence)
        return evidence

    async def link(self, name: UUID | str, other_name: UUID | str, kind: LinkKind) -> None:
        """Says how two pieces hang together.

        Raises:
            NotFound: The caller does not see both.
            Unprocessable: They are the same.
        """
        one, other = await self.find(name), await self.find(other_name)
        if one.id == other.id:
            raise Unprocessable("evidence has nothing to do with itself", field="other")
        await self._evidence.link(one.id, other.id, kind=kind, by=self._acting.caller.id)
        await self._acting.record("put", EvidenceLink, tuple(sorted((one.id, other.id))), new={"kind": kind})
        if kind == "contradicting":
            self._tell("evidence_contradicted", f"put {other.code} against {one.code}", one)

    async def unlink(self, name: UUID | str, other_name: UUID | str) -> None:
        """Takes back what was said of two pieces.

        Raises:
            NotFound: The caller does not see both, or nothing was said.
        """
        one, other = await self.find(name), await self.find(other_name)
        if not await self._evidence.unlink(one.id, other.id):
            raise NotFound("link not found")
        await self._acting.record("delete", EvidenceLink, tuple(sorted((one.id, other.id))))

    async def delete(self, name: UUID | str) -> None:
        """Deletes evidence; what stood on it stays, and says so no more.

        Raises:
            NotFound: There is none that the caller sees.
            Forbidden: It is neither theirs nor of a project of theirs.
        """
        evidence = await self.find(name, locked=True)
        owner = await ProjectRepository(self._acting.session).owner_of(evidence.project_id)
        self._acting.require(evidence.author_id, owner, otherwise="the evidence is not yours")
        await self._acting.session.delete(evidence)
        await self._acting.session.flush()
        old = {field: getattr(evidence, field) for field in Evidence.__audited__}
        await self._acting.record("delete", Evidence, evidence.id, old=old)

    async def _of_somebody_else(self, name: UUID | str, refusal: str) -> Evidence:
        evidence = await self.find(name, locked=True)
        if evidence.author_id == self._acting.caller.id:
            raise Forbidden(refusal)
        return evidence

    def _tell(self, activity_type: str, summary: str, evidence: Evidence) -> None:
        self._acting.tell(activity_type, summary, project_id=evidence.project_id, task_id=evidence.task_id)


def decimal(text: str | None) -> Decimal | None:
    """A score as it is kept."""
    return Decimal(text) if text is not None else None
