"""What an agent is made of: how it speaks, what it runs on, what it keeps, and what it must not do.

Kept as JSONB in `agents`; what is not there has the default that stands here.
"""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

AgentStatus = Literal["draft", "active", "paused", "archived"]

Weight = Annotated[float, Meta(ge=0, le=1)]
Sentence = Annotated[str, Meta(min_length=1, max_length=2000)]
Word = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[list[Word], Meta(max_length=100)]
Slug = Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]

NEARLY = 1e-6


class VoiceExample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the agent would answer.

    Args:
        prompt: What somebody says.
        response: What the agent says then.
    """

    prompt: Sentence
    response: Sentence


class AgentPersonality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the agent speaks.

    Args:
        traits: What it is like, each from 0, not at all, to 1, very much: `{"curious": 0.9}`.
        tone: The sound of it, such as `friendly`.
        verbosity: How much it says.
        formality: How formal it is, from 0 to 1.
        voice_examples: How it would answer.
        instructions: What else it should heed.
    """

    traits: Annotated[dict[Word, Weight], Meta(max_length=50)] = {}
    tone: Word = "friendly"
    verbosity: Literal["brief", "balanced", "detailed"] = "balanced"
    formality: Weight = 0.5
    voice_examples: Annotated[list[VoiceExample], Meta(max_length=20)] = []
    instructions: Annotated[str, Meta(max_length=10_000)] = ""


class AgentModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the agent's model is asked.

    Args:
        temperature: How much is left to chance, from 0 to 2.
        top_p: Only the likeliest words that make up this share, above 0 and at most 1.
        max_output_tokens: The most tokens of an answer, at least 1.
        timeout_seconds: How long an answer may take, above 0 and at most an hour.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    max_output_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    timeout_seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0


class RetrievalWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts how much when memories are ranked; together 1.

    Args:
        semantic: How near the meaning is.
        recency: How new it is.
        importance: How important it was said to be.
        confidence: How sure it is.

    Raises:
        ValueError: They do not sum to 1.
    """

    semantic: Weight = 0.5
    recency: Weight = 0.2
    importance: Weight = 0.2
    confidence: Weight = 0.1

    def __post_init__(self) -> None:
        """Checks the sum."""
        if abs(self.semantic + self.recency + self.importance + self.confidence - 1) > NEARLY:
            raise ValueError("the weights must sum to 1")


class AgentMemoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agent keeps and how it finds it again.

    Args:
        is_enabled: Whether it keeps anything.
        retrieval_weights: What counts how much when memories are ranked.
        max_recalled: The most memories that are found for one question, 1 to 100.
        min_similarity: How near a memory has to be to be found, from 0 to 1.
        min_importance: How important a memory has to be to be kept, 1 to 10.
        token_budget: The most tokens of memories in one prompt, at least 0.
    """

    is_enabled: bool = True
    retrieval_weights: RetrievalWeights = RetrievalWeights()
    max_recalled: Annotated[int, Meta(ge=1, le=100)] = 10
    min_similarity: Weight = 0.0
    min_importance: Annotated[int, Meta(ge=1, le=10)] = 1
    token_budget: Annotated[int, Meta(ge=0, le=1_000_000)] = 2000


class AgentBoundaries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agent must not do.

    Args:
        forbidden_topics: What it does not speak about.
        forbidden_actions: What it does not do.
        allowed_domains: The hosts it may reach; none named: all.
        needs_approval_for: What somebody has to agree to before it is done.
        max_cost_usd: The most that one execution may cost, in US dollars; None: no bound.
    """

    forbidden_topics: Words = []
    forbidden_actions: Words = []
    allowed_domains: Words = []
    needs_approval_for: Words = []
    max_cost_usd: Annotated[float, Meta(ge=0)] | None = None


class AgentDNA(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent of a team, whole.

    Args:
        name: How it is called, 1 to 100 characters.
        slug: How it is called in addresses: small letters and digits, joined by hyphens; unique in its team.
        team_id: The team that owns it.
        type: What kind of work it does; name and type together are unique.
        tagline: What it does, in a sentence.
        avatar_emoji: How it is shown.
        model_provider: Who runs its model.
        model_name: Its model.
        capabilities: What it can do, by name.
        personality: How it speaks.
        model_config: How its model is asked.
        memory_config: What it keeps.
        boundaries: What it must not do.
        shared_skill_names: The team's skills that it has.
        custom_skill_names: Skills of its own.
        disabled_skill_names: Skills that it has and must not use.
        tags: By which it is found.
        status: Whether it works.
        is_experimental: Whether it is not to be relied on yet.
    """

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    slug: Slug | None = None
    team_id: UUID | None = None
    type: Annotated[str, Meta(min_length=1, max_length=63)] | None = None
    tagline: Annotated[str, Meta(max_length=200)] | None = None
    avatar_emoji: Annotated[str, Meta(max_length=16)] | None = None
    model_provider: Word | None = None
    model_name: Word | None = None
    capabilities: Annotated[dict[Word, bool | int | float | str], Meta(max_length=100)] = {}
    personality: AgentPersonality = AgentPersonality()
    model_config: AgentModelConfig = AgentModelConfig()
    memory_config: AgentMemoryConfig = AgentMemoryConfig()
    boundaries: AgentBoundaries = AgentBoundaries()
    shared_skill_names: Words = []
    custom_skill_names: Words = []
    disabled_skill_names: Words = []
    tags: Words = []
    status: AgentStatus = "draft"
    is_experimental: bool = False
