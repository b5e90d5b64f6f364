"""What the team remembers, and a conversation that some of it comes from.

The memories have no embeddings, because nobody is asked for any here: they are found by their words.
"""

from typing import Any

from aicq.memory.models import Conversation, ConversationMessage, Memory, MemoryLink, MemoryTag
from aicq.seed.people import ARCHIVIST, ENGINEER, OLIVIA, PLANNER, REVIEWER, TEAM, TESTER
from aicq.seed.rows import Part, sample_id

TALK = sample_id("conversation/bulb", minute=120)


def turn(minute: int, role: str, content: str, tokens: int, **more: Any) -> dict[str, Any]:
    """A turn of the conversation about the bulb."""
    return {
        "id": sample_id(f"turn/{minute}", minute=minute),
        "team_id": TEAM,
        "conversation_id": TALK,
        "role": role,
        "content": content,
        "token_count": tokens,
        **more,
    }


def memory(minute: int, memory_type: str, subject: str, content: str, **more: Any) -> dict[str, Any]:
    """Something that the team remembers."""
    return {
        "id": sample_id(f"memory/{minute}", minute=minute),
        "team_id": TEAM,
        "memory_type": memory_type,
        "subject": subject,
        "content": content,
        **more,
    }


LASTS = memory(
    130,
    "semantic",
    "bulb",
    "A bulb of the lamp lasts 900 hours; in winter it is changed after 800.",
    agent_id=ENGINEER,
    importance=8,
    source_type="extraction",
    source_conversation_id=TALK,
    extraction_model="claude",
)
LASTED = memory(
    131,
    "semantic",
    "bulb",
    "A bulb of the lamp lasts 1,000 hours.",
    agent_id=ENGINEER,
    status="superseded",
    superseded_by=LASTS["id"],
)
CHANGE = memory(
    132,
    "procedural",
    "changing a bulb",
    "To change a bulb: stop the lamp, wait until it is cold, and tell the watch before and after.",
    agent_id=ARCHIVIST,
    importance=9,
    is_pinned=True,
)
STORM = memory(
    133,
    "episodic",
    "storm",
    "In the storm of January the lamp stopped for eleven minutes because the motor waited for the wind vane.",
    agent_id=TESTER,
    confidence=0.9,
    tier="warm",
)
CALM = memory(
    134,
    "episodic",
    "storm",
    "The lamp has turned through every storm.",
    agent_id=PLANNER,
    confidence=0.3,
    tier="cold",
    status="disputed",
)
HABIT = memory(
    135, "agent_private", "reviews", "I forget to ask about the fog horn. Ask about the fog horn.", agent_id=REVIEWER
)
RULE = memory(136, "shared", "rules", "Nobody climbs the tower alone.", importance=10, is_pinned=True)
WHO = memory(137, "identity", "who we are", "We keep the light that everybody steers by.", importance=7, tier="warm")
LIKES = memory(
    138,
    "user_profile",
    "Olivia",
    "Olivia wants figures before opinions, and answers in three sentences.",
    user_id=OLIVIA,
    source_type="feedback",
)

FILED = {
    LASTS["id"]: ("lamp", "bulb"),
    LASTED["id"]: ("lamp", "bulb"),
    CHANGE["id"]: ("lamp", "bulb", "how-to"),
    STORM["id"]: ("lamp", "wind"),
    CALM["id"]: ("lamp", "wind"),
    RULE["id"]: ("safety",),
}

MEMORIES = Part(
    "memories",
    [
        (
            Conversation,
            [{"id": TALK, "team_id": TEAM, "agent_id": ENGINEER, "user_id": OLIVIA, "title": "How long a bulb lasts"}],
        ),
        (
            ConversationMessage,
            [
                turn(121, "user", "How long does a bulb last?", 9),
                turn(122, "assistant", "1,000 hours, as far as I know. I look it up.", 16, agent_id=ENGINEER),
                turn(123, "tool", "changes in the log: after 912, 887 and 903 hours; in winter after 811", 24),
                turn(
                    124, "assistant", "900 hours. In winter less: I would change it after 800.", 18, agent_id=ENGINEER
                ),
            ],
        ),
        # What supersedes is there before what it supersedes.
        (Memory, [LASTS, LASTED, CHANGE, STORM, CALM, HABIT, RULE, WHO, LIKES]),
        (
            MemoryTag,
            [
                {"memory_id": memory_id, "team_id": TEAM, "tag": tag}
                for memory_id, tags in FILED.items()
                for tag in tags
            ],
        ),
        (
            MemoryLink,
            [
                {"from_id": CALM["id"], "to_id": STORM["id"], "kind": "contradicts", "team_id": TEAM},
                {"from_id": LASTS["id"], "to_id": CHANGE["id"], "kind": "related_to", "team_id": TEAM},
            ],
        ),
    ],
)
