"""What backs a claim, and which pieces of it belong together or contradict each other."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Identity, Index, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from aicq.db.models import Model

CREDIBILITY = """
CASE
    WHEN verified_at IS NOT NULL THEN COALESCE(computed_score, claimed_score, 0)
    ELSE LEAST(COALESCE(computed_score, claimed_score, 0), 0.5)
END
"""
"""What a score is worth: no more than a half until somebody else has verified the evidence."""


class Evidence(Model):
    """What backs a claim. Who claims, who computes and who verifies are told apart."""

    __tablename__ = "evidence"
    __audited__ = (
        "code",
        "project_id",
        "task_id",
        "author_id",
        "source_type",
        "tags",
        "claimed_score",
        "computed_score",
        "scoring_method",
        "scored_by",
        "verified_by",
    )
    __table_args__ = (
        CheckConstraint("claim <> ''", name="claim"),
        CheckConstraint("source_type ~ '^[a-z][a-z0-9_]{0,49}$'", name="source_type"),
        CheckConstraint("jsonb_typeof(content) = 'object'", name="content"),
        CheckConstraint("jsonb_typeof(tags) = 'array'", name="tags"),
        CheckConstraint("claimed_score BETWEEN 0 AND 1", name="claimed_score"),
        CheckConstraint("computed_score BETWEEN 0 AND 1", name="computed_score"),
        CheckConstraint("(computed_score IS NULL) = (scoring_method IS NULL)", name="computed_has_its_method"),
        CheckConstraint("verified_by <> author_id", name="nobody_verifies_their_own"),
        CheckConstraint("verified_by IS NULL OR verified_at IS NOT NULL", name="verifier_has_their_time"),
        Index(
            "ix_evidence_task_id",  # EvidenceRepository.page; the foreign key's SET NULL
            "task_id",
            "id",
            postgresql_where=text("task_id IS NOT NULL"),
        ),
        Index(
            "ix_evidence_project_id",  # EvidenceRepository.page; the foreign key's SET NULL
            "project_id",
            "id",
            postgresql_where=text("project_id IS NOT NULL"),
        ),
        Index("ix_evidence_source_type", "source_type", "id"),  # EvidenceRepository.page
        Index(
            "ix_evidence_credibility_score",  # EvidenceRepository.most_credible
            text("credibility_score DESC"),
            "id",
        ),
        Index("ix_evidence_unverified", "id", postgresql_where=text("verified_at IS NULL")),  # EvidenceRepository.page
        Index(
            "ix_evidence_tags",  # EvidenceRepository.page
            "tags",
            postgresql_using="gin",
            postgresql_ops={"tags": "jsonb_path_ops"},
        ),
        Index(
            "ix_evidence_scored_by",  # the foreign key's SET NULL
            "scored_by",
            postgresql_where=text("scored_by IS NOT NULL"),
        ),
        Index(
            "ix_evidence_verified_by",  # the foreign key's SET NULL
            "verified_by",
            postgresql_where=text("verified_by IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    code: Mapped[str] = mapped_column(Text, Computed("('EV-'::text || number::text)", persisted=True), unique=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("projects.id", ondelete="SET NULL"))
    task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    author_id: Mapped[UUID] = mapped_column(
        ForeignKey("actors.id", ondelete="RESTRICT"),
        index=True,  # the foreign key's RESTRICT
    )
    claim: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    source_type: Mapped[str] = mapped_column(Text)
    source_url: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    claimed_score: Mapped[Decimal | None] = mapped_column(Numeric(4, 3))
    computed_score: Mapped[Decimal | None] = mapped_column(Numeric(4, 3))
    scoring_method: Mapped[str | None] = mapped_column(Text)
    scored_by: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    verified_by: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    verified_at: Mapped[datetime | None]
    is_verified: Mapped[bool] = mapped_column(Computed("(verified_at IS NOT NULL)", persisted=True))
    credibility_score: Mapped[Decimal] = mapped_column(Numeric(4, 3), Computed(CREDIBILITY, persisted=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EvidenceLink(Model):
    """Two pieces of evidence that belong together or contradict each other; the same from both ends."""

    __tablename__ = "evidence_links"
    __audited__ = ("kind", "created_by")
    __table_args__ = (
        CheckConstraint("kind IN ('related', 'contradicting')", name="kind"),
        CheckConstraint("low_id < high_id", name="a_pair_stands_once"),
        Index(
            "ix_evidence_links_created_by",  # the foreign key's SET NULL
            "created_by",
            postgresql_where=text("created_by IS NOT NULL"),
        ),
    )

    low_id: Mapped[UUID] = mapped_column(ForeignKey("evidence.id", ondelete="CASCADE"), primary_key=True)
    high_id: Mapped[UUID] = mapped_column(
        ForeignKey("evidence.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,  # EvidenceRepository.links; the foreign key's CASCADE
    )
    kind: Mapped[str] = mapped_column(Text)
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("actors.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
