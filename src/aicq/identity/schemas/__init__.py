"""What actors look like on the wire, and what they are made of."""

from aicq.identity.schemas.dna import (
    AgentBoundaries,
    AgentDNA,
    AgentMemoryConfig,
    AgentModelConfig,
    AgentPersonality,
    AgentStatus,
    RetrievalWeights,
    VoiceExample,
)
from aicq.identity.schemas.teams import TeamCreate
from aicq.identity.schemas.users import UserCreate

__all__ = [
    "AgentBoundaries",
    "AgentDNA",
    "AgentMemoryConfig",
    "AgentModelConfig",
    "AgentPersonality",
    "AgentStatus",
    "RetrievalWeights",
    "TeamCreate",
    "UserCreate",
    "VoiceExample",
]
