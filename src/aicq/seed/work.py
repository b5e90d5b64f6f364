"""Two projects with their tasks, what was said about them, evidence, and what the agents' runs took."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from aicq.seed.people import ARCHIVIST, ENGINEER, NOOR, OLIVIA, PLANNER, REVIEWER, SAM, TEAM, TESTER
from aicq.seed.rows import Part, sample_id
from aicq.work.models import Activity, Evidence, EvidenceLink, Execution, Project, Task, TaskAttachment, TaskComment

BEGAN = datetime(2026, 1, 2, 9, tzinfo=UTC)

LAMP = sample_id("project/lighthouse", minute=20)
WATCH = sample_id("project/night-watch", minute=21)


def task(minute: int, name: str, title: str, **more: Any) -> dict[str, Any]:
    """A task of the lighthouse, unless it says otherwise."""
    values = {"project_id": LAMP, "title": title, "created_by": PLANNER, **more}
    if values.get("status") == "closed":
        values["closed_at"] = BEGAN + timedelta(days=2)
    return {"id": sample_id(f"task/{name}", minute=minute), **values}


def run(
    minute: int, agent: UUID, task_id: UUID, status: str, *, seconds: int, cost: str, **more: Any
) -> dict[str, Any]:
    """A run of an agent that is over."""
    began = BEGAN + timedelta(minutes=minute)
    return {
        "id": sample_id(f"execution/{minute}", minute=minute),
        "agent_id": agent,
        "task_id": task_id,
        "status": status,
        "model_provider": "anthropic",
        "model_name": "claude",
        "cost_usd": Decimal(cost),
        "cost_source": "reported",
        "started_at": began,
        "finished_at": began + timedelta(seconds=seconds),
        "created_at": began,
        **more,
    }


def link(one: UUID, other: UUID, kind: str) -> dict[str, Any]:
    """How two pieces of evidence hang together."""
    low, high = sorted((one, other))
    return {"low_id": low, "high_id": high, "kind": kind, "created_by": REVIEWER}


def told(minute: int, actor: UUID, kind: str, summary: str, **more: Any) -> dict[str, Any]:
    """Something that happened, as the feed tells it."""
    return {
        "id": sample_id(f"activity/{minute}", minute=minute),
        "project_id": LAMP,
        "actor_id": actor,
        "activity_type": kind,
        "summary": summary,
        "is_public": True,
        "created_at": BEGAN + timedelta(minutes=minute),
        **more,
    }


ROTATE = task(
    30,
    "rotate",
    "The lamp stops turning when the wind turns",
    type="bug",
    priority="critical",
    status="closed",
    labels=["lamp", "wind"],
    assignee_id=ENGINEER,
    github_issue_number=1,
    started_at=BEGAN,
    ai_analysis={"cause": "the motor waits for the wind vane", "confidence": 0.8},
)
BRIGHT = task(
    31,
    "bright",
    "Tell how bright the lamp is",
    type="feature",
    priority="high",
    status="in_review",
    labels=["lamp"],
    assignee_id=ENGINEER,
    github_pr_number=2,
    started_at=BEGAN,
)
STORM = task(
    32,
    "storm",
    "Test the lamp in a storm",
    type="test",
    priority="high",
    status="in_progress",
    labels=["wind"],
    assignee_id=TESTER,
    started_at=BEGAN,
)
LOGBOOK = task(33, "logbook", "Write down how to change a bulb", type="documentation", labels=["lamp"])
STAIRS = task(34, "stairs", "Sweep the stairs", type="chore", priority="low", created_by=SAM)
FOG = task(35, "fog", "A horn for the fog", type="feature", status="draft", created_by=NOOR)
SHIFTS = task(36, "shifts", "Who watches when", project_id=WATCH, type="task", assignee_id=NOOR, status="blocked")

RERUN = sample_id("evidence/rerun", minute=40)
TRACE = sample_id("evidence/trace", minute=41)
CALM = sample_id("evidence/calm", minute=42)

WORK = Part(
    "work",
    [
        (
            Project,
            [
                {
                    "id": LAMP,
                    "slug": "lighthouse",
                    "name": "Lighthouse",
                    "description": "The light that everybody steers by, and the software that turns it.",
                    "repository_url": "https://git.keepers.example/lighthouse",
                    "owner_id": OLIVIA,
                    "technology_stack": ["python", "postgres"],
                    "pr_merge_rate": Decimal("0.92"),
                    "test_coverage_percent": Decimal("97.5"),
                },
                {
                    "id": WATCH,
                    "slug": "night-watch",
                    "name": "Night watch",
                    "description": "Who is awake when. The team's alone.",
                    "owner_id": NOOR,
                    "team_id": TEAM,
                },
            ],
        ),
        (Task, [ROTATE, BRIGHT, STORM, LOGBOOK, STAIRS, FOG, SHIFTS]),
        (
            TaskComment,
            [
                {
                    "id": sample_id("comment/cause", minute=50),
                    "task_id": ROTATE["id"],
                    "author_id": ENGINEER,
                    "body": "The motor asks the wind vane for leave. It should not.",
                    "is_ai_generated": True,
                    "ai_metadata": {"model": "claude"},
                },
                {
                    "id": sample_id("comment/agreed", minute=51),
                    "task_id": ROTATE["id"],
                    "author_id": OLIVIA,
                    "body": "Agreed. Let the lamp turn whatever the wind does.",
                },
                {
                    "id": sample_id("comment/review", minute=52),
                    "task_id": BRIGHT["id"],
                    "author_id": REVIEWER,
                    "body": "What does it tell while the bulb is being changed?",
                    "is_ai_generated": True,
                },
            ],
        ),
        (
            Evidence,
            [
                {
                    "id": RERUN,
                    "task_id": ROTATE["id"],
                    "author_id": TESTER,
                    "claim": "The lamp turns through a thousand changes of the wind.",
                    "source_type": "test_result",
                    "content": {"changes": 1000, "stops": 0},
                    "tags": ["lamp", "wind"],
                    "claimed_score": Decimal("0.9"),
                    "computed_score": Decimal("0.95"),
                    "scoring_method": "the same test on another machine",
                    "scored_by": REVIEWER,
                    "verified_by": OLIVIA,
                    "verified_at": BEGAN + timedelta(days=2),
                },
                {
                    "id": TRACE,
                    "task_id": ROTATE["id"],
                    "author_id": ENGINEER,
                    "claim": "The motor no longer reads the wind vane.",
                    "source_type": "code_analysis",
                    "tags": ["lamp"],
                    "claimed_score": Decimal("0.8"),
                },
                {
                    "id": CALM,
                    "task_id": ROTATE["id"],
                    "author_id": ARCHIVIST,
                    "claim": "The lamp has always turned.",
                    "source_type": "ai_output",
                    "claimed_score": Decimal("0.6"),
                },
            ],
        ),
        (EvidenceLink, [link(RERUN, TRACE, "related"), link(RERUN, CALM, "contradicting")]),
        (
            TaskAttachment,
            [
                {
                    "id": sample_id("attachment/log", minute=60),
                    "task_id": ROTATE["id"],
                    "uploaded_by": TESTER,
                    "file_name": "storm.log",
                    "content_type": "text/plain",
                    "byte_size": 48_213,
                    "storage_path": "lighthouse/storm.log",
                    "evidence_id": RERUN,
                }
            ],
        ),
        (
            Execution,
            [
                run(
                    70,
                    PLANNER,
                    ROTATE["id"],
                    "success",
                    seconds=12,
                    cost="0.004215",
                    input_tokens=1210,
                    output_tokens=305,
                ),
                run(
                    71,
                    ENGINEER,
                    ROTATE["id"],
                    "failure",
                    seconds=95,
                    cost="0.082140",
                    input_tokens=21_004,
                    output_tokens=2_870,
                    error="the tests did not pass",
                ),
                run(
                    72,
                    ENGINEER,
                    ROTATE["id"],
                    "success",
                    seconds=141,
                    cost="0.113907",
                    input_tokens=28_310,
                    output_tokens=4_122,
                    cache_read_tokens=18_000,
                    result={"files_changed": 2},
                    evidence_id=TRACE,
                ),
                run(
                    73,
                    TESTER,
                    ROTATE["id"],
                    "success",
                    seconds=61,
                    cost="0.019320",
                    input_tokens=5_100,
                    output_tokens=610,
                ),
                run(
                    74,
                    TESTER,
                    STORM["id"],
                    "timeout",
                    seconds=600,
                    cost="0.250000",
                    input_tokens=80_000,
                    output_tokens=900,
                ),
            ],
        ),
        (
            Activity,
            [
                told(80, PLANNER, "task_created", "added a task: The lamp stops turning", task_id=ROTATE["id"]),
                told(81, ENGINEER, "task_claimed", "claimed it", task_id=ROTATE["id"]),
                told(82, TESTER, "evidence_submitted", "brought evidence forward", task_id=ROTATE["id"]),
                told(83, OLIVIA, "evidence_verified", "verified it", task_id=ROTATE["id"]),
                told(84, ENGINEER, "task_moved", "moved it to closed", task_id=ROTATE["id"]),
            ],
        ),
    ],
)
