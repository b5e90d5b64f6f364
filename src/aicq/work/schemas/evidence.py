"""Evidence on the wire."""

from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from aicq.work.schemas.words import Kind, Line, Moment, Said, Score, WebAddress, Words

LinkKind = Literal["related", "contradicting"]


class NewEvidence(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What backs a claim.

    Args:
        claim: What it is to show.
        source_type: Where it is from, in a word: `test_result`, `code_analysis`, `ai_output`.
        task_id: The task that it is about; its project then is the task's.
        project_id: The project that it is about.
        content: The evidence itself.
        source_url: Where it can be looked up.
        tags: Words to find it by.
        claimed_score: How credible its author says it is.
    """

    claim: Said
    source_type: Kind
    task_id: UUID | None = None
    project_id: UUID | None = None
    content: dict[str, Any] = {}
    source_url: WebAddress | None = None
    tags: Words = []
    claimed_score: Score | None = None


class EvidenceChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A change of one's own evidence; what is not given stays as it is.

    Args:
        claim: What it is to show.
        content: The evidence itself.
        source_type: Where it is from, in a word.
        source_url: Where it can be looked up.
        tags: Words to find it by.
        claimed_score: How credible its author says it is.
    """

    claim: Said | UnsetType = UNSET
    content: dict[str, Any] | UnsetType = UNSET
    source_type: Kind | UnsetType = UNSET
    source_url: WebAddress | UnsetType | None = UNSET
    tags: Words | UnsetType = UNSET
    claimed_score: Score | UnsetType | None = UNSET


class NewScore(msgspec.Struct, forbid_unknown_fields=True):
    """How credible evidence is, as somebody else than its author computed it.

    Args:
        score: The score.
        method: How it was computed.
    """

    score: Score
    method: Line


class NewLink(msgspec.Struct, forbid_unknown_fields=True):
    """How two pieces of evidence hang together.

    Args:
        kind: They belong together, or contradict each other.
    """

    kind: LinkKind


class EvidenceShown(msgspec.Struct):
    """Evidence, and what it hangs together with."""

    id: UUID
    code: str
    project_id: UUID | None
    task_id: UUID | None
    author_id: UUID
    claim: str
    content: dict[str, Any]
    source_type: str
    source_url: str | None
    tags: list[str]
    claimed_score: str | None
    computed_score: str | None
    scoring_method: str | None
    scored_by: UUID | None
    verified_by: UUID | None
    verified_at: Moment | None
    is_verified: bool
    credibility_score: str
    created_at: Moment
    updated_at: Moment
    related_evidence: list[UUID]
    contradicting_evidence: list[UUID]


class EvidencePage(msgspec.Struct):
    """A page of evidence.

    Args:
        items: The evidence, the newest first.
        next: The cursor of the next page; null on the last one.
    """

    items: list[EvidenceShown]
    next: str | None
