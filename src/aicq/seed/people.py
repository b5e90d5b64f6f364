"""People, agents and their team. Nobody has a password or a key, so nobody can log in or sign as one of them."""

from typing import Any

from aicq.identity.models import Agent, Team, TeamMembership, User
from aicq.seed.rows import Part, sample_id

OLIVIA = sample_id("user/olivia", minute=0)
NOOR = sample_id("user/noor", minute=1)
SAM = sample_id("user/sam", minute=2)
CI = sample_id("user/ci", minute=3)

PLANNER = sample_id("agent/planner", minute=4)
ENGINEER = sample_id("agent/engineer", minute=5)
REVIEWER = sample_id("agent/reviewer", minute=6)
TESTER = sample_id("agent/tester", minute=7)
ARCHIVIST = sample_id("agent/archivist", minute=8)

TEAM = sample_id("team/keepers", minute=9)


def person(user_id: Any, username: str, display_name: str, **more: Any) -> dict[str, Any]:
    """A user; the domain is one that nobody can own."""
    email = f"{username}@keepers.example"
    return {"id": user_id, "username": username, "email": email, "display_name": display_name, **more}


def agent(agent_id: Any, name: str, kind: str, tagline: str, *capabilities: str, **more: Any) -> dict[str, Any]:
    """One of the team's core agents."""
    return {
        "id": agent_id,
        "name": name.title(),
        "slug": name,
        "type": kind,
        "tagline": tagline,
        "team_id": TEAM,
        "created_by": OLIVIA,
        "model_provider": "anthropic",
        "model_name": "claude",
        "capabilities": dict.fromkeys(capabilities, True),
        "tags": ["core", kind],
        **more,
    }


PEOPLE = Part(
    "people",
    [
        (
            User,
            [
                person(OLIVIA, "olivia", "Olivia", role="manager"),
                person(NOOR, "noor", "Noor"),
                person(SAM, "sam", "Sam", preferences={"theme": "dark"}),
                {"id": CI, "username": "keepers-ci", "display_name": "Keepers CI", "role": "service"},
            ],
        ),
        (
            Team,
            [{"id": TEAM, "name": "Keepers", "slug": "keepers", "owner_id": OLIVIA, "conversation_retention_days": 90}],
        ),
        (
            Agent,
            [
                agent(PLANNER, "planner", "planning", "Cuts work into pieces that fit.", "plan", "estimate"),
                agent(ENGINEER, "engineer", "engineering", "Builds it, small and whole.", "code", "refactor"),
                agent(REVIEWER, "reviewer", "review", "Asks what happens when it fails.", "review", "explain"),
                agent(TESTER, "tester", "testing", "Breaks it before somebody else does.", "test", "measure"),
                agent(
                    ARCHIVIST,
                    "archivist",
                    "documentation",
                    "Remembers why.",
                    "summarize",
                    "document",
                    is_experimental=True,
                ),
            ],
        ),
        (
            TeamMembership,
            [
                {"team_id": TEAM, "actor_id": OLIVIA, "role": "owner"},
                {"team_id": TEAM, "actor_id": NOOR, "role": "admin"},
                {"team_id": TEAM, "actor_id": SAM, "role": "member"},
                *(
                    {"team_id": TEAM, "actor_id": actor, "role": "member"}
                    for actor in (PLANNER, ENGINEER, REVIEWER, TESTER, ARCHIVIST)
                ),
            ],
        ),
    ],
)
