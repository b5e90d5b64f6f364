"""Evidence: bringing it forward, scoring, verifying and linking it."""

from typing import Annotated

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from aicq.auth.gate import authenticated
from aicq.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unprocessable
from aicq.http.contract import NAMED, REQUEST_BYTES, SIGNED_OR_BEARING, TOKEN_OR_SIGNED, WITH_BODY, Call, path, problems
from aicq.http.paging import USUAL, Cursor, Limit, end_of, first_page, key_of
from aicq.http.resources.bodies import checked
from aicq.work.controllers.calls import (
    Asked,
    EvidenceName,
    OfProject,
    OfTask,
    evidence_name,
    word_of,
    words_of,
)
from aicq.work.models import Evidence
from aicq.work.repositories import EvidenceFilter
from aicq.work.schemas.evidence import (
    EvidenceChange,
    EvidencePage,
    EvidenceShown,
    NewEvidence,
    NewLink,
    NewScore,
)
from aicq.work.schemas.words import show
from aicq.work.services.evidence import EvidenceService

OtherName = Annotated[str, path("The other evidence's id or code.")]


class EvidenceController(Controller):
    """What backs claims, and how far it can be believed."""

    path = "/v1/evidence"
    tags = ("evidence",)
    security = TOKEN_OR_SIGNED
    request_max_body_size = REQUEST_BYTES

    @post(
        operation_id="SubmitEvidence",
        before_request=checked(authenticated("write"), NewEvidence),
        responses=problems(*SIGNED_OR_BEARING, *WITH_BODY, NotFound, Unprocessable),
        operation_class=Call,
    )
    async def submit(self, data: JSONBody[NewEvidence], asked: NamedDependency[Asked]) -> EvidenceShown:
        """Brings evidence forward. It is worth no more than a half until somebody else has verified it."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.submit(data))

    @get(
        operation_id="ListEvidence",
        before_request=authenticated("read"),
        responses=problems(*SIGNED_OR_BEARING, InvalidRequest),
        operation_class=Call,
    )
    async def list_evidence(
        self,
        asked: NamedDependency[Asked],
        project: OfProject = None,
        task: OfTask = None,
        source_type: Annotated[str | None, QueryParameter(description="Only what is from there.")] = None,
        is_verified: Annotated[bool | None, QueryParameter(description="Only what is verified, or is not.")] = None,
        tag: Annotated[list[str] | None, QueryParameter(description="Only what has this tag; repeatable.")] = None,
        limit: Limit = USUAL,
        cursor: Cursor = None,
    ) -> EvidencePage:
        """Lists the evidence that the caller sees, the newest first."""
        service = EvidenceService(await asked.enter())
        wanted = EvidenceFilter(
            project_id=project,
            task_id=task,
            source_type=word_of(source_type, "source_type"),
            is_verified=is_verified,
            tags=words_of(tag, "tag"),
        )
        found = await service.page(wanted, limit=limit + 1, before=end_of(cursor))
        rows, following = first_page(found, limit, key_of)
        links = await service.links([evidence.id for evidence in rows])
        told = [
            show(
                EvidenceShown,
                evidence,
                related_evidence=links[evidence.id].related,
                contradicting_evidence=links[evidence.id].contradicting,
            )
            for evidence in rows
        ]
        return EvidencePage(told, following)

    @get(
        "/{evidence:str}",
        operation_id="GetEvidence",
        before_request=authenticated("read"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def show(self, evidence: EvidenceName, asked: NamedDependency[Asked]) -> EvidenceShown:
        """Shows evidence, and what it hangs together with."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.find(evidence_name(evidence)))

    @patch(
        "/{evidence:str}",
        operation_id="ChangeEvidence",
        before_request=checked(authenticated("write"), EvidenceChange),
        responses=problems(*NAMED, *WITH_BODY, Forbidden, Unprocessable),
        operation_class=Call,
    )
    async def change(
        self, evidence: EvidenceName, data: JSONBody[EvidenceChange], asked: NamedDependency[Asked]
    ) -> EvidenceShown:
        """Changes evidence of the caller; what somebody has verified of it is to be verified anew."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.change(evidence_name(evidence), data))

    @put(
        "/{evidence:str}/score",
        operation_id="ScoreEvidence",
        before_request=checked(authenticated("write"), NewScore),
        responses=problems(*NAMED, *WITH_BODY, Forbidden, Unprocessable),
        operation_class=Call,
    )
    async def score(
        self, evidence: EvidenceName, data: JSONBody[NewScore], asked: NamedDependency[Asked]
    ) -> EvidenceShown:
        """Tells how credible evidence of somebody else is, and how that was computed."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.score(evidence_name(evidence), data))

    @put(
        "/{evidence:str}/verification",
        operation_id="VerifyEvidence",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden, Conflict),
        operation_class=Call,
    )
    async def verify(self, evidence: EvidenceName, asked: NamedDependency[Asked]) -> EvidenceShown:
        """Answers for evidence of somebody else."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.verify(evidence_name(evidence)))

    @delete(
        "/{evidence:str}/verification",
        operation_id="DoubtEvidence",
        status_code=200,
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def doubt(self, evidence: EvidenceName, asked: NamedDependency[Asked]) -> EvidenceShown:
        """Takes the caller's verification back."""
        service = EvidenceService(await asked.enter())
        return await shown(service, await service.doubt(evidence_name(evidence)))

    @put(
        "/{evidence:str}/links/{other:str}",
        operation_id="LinkEvidence",
        status_code=204,
        before_request=checked(authenticated("write"), NewLink),
        responses=problems(*NAMED, *WITH_BODY, Unprocessable),
        operation_class=Call,
    )
    async def link(
        self, evidence: EvidenceName, other: OtherName, data: JSONBody[NewLink], asked: NamedDependency[Asked]
    ) -> None:
        """Says that two pieces of evidence belong together, or contradict each other; it reads the same from both."""
        await EvidenceService(await asked.enter()).link(evidence_name(evidence), evidence_name(other), data.kind)

    @delete(
        "/{evidence:str}/links/{other:str}",
        operation_id="UnlinkEvidence",
        before_request=authenticated("write"),
        responses=problems(*NAMED),
        operation_class=Call,
    )
    async def unlink(self, evidence: EvidenceName, other: OtherName, asked: NamedDependency[Asked]) -> None:
        """Takes back what was said of two pieces of evidence."""
        await EvidenceService(await asked.enter()).unlink(evidence_name(evidence), evidence_name(other))

    @delete(
        "/{evidence:str}",
        operation_id="DeleteEvidence",
        before_request=authenticated("write"),
        responses=problems(*NAMED, Forbidden),
        operation_class=Call,
    )
    async def remove(self, evidence: EvidenceName, asked: NamedDependency[Asked]) -> None:
        """Deletes evidence of the caller, or of a project of theirs."""
        await EvidenceService(await asked.enter()).delete(evidence_name(evidence))


async def shown(service: EvidenceService, evidence: Evidence) -> EvidenceShown:
    """Evidence as it is told."""
    links = (await service.links([evidence.id]))[evidence.id]
    return show(EvidenceShown, evidence, related_evidence=links.related, contradicting_evidence=links.contradicting)
