"""Where conversations, memories and their history are kept."""

from aicq.memory.repositories.conversations import (
    ConversationFilter,
    ConversationMessageRepository,
    ConversationRepository,
)
from aicq.memory.repositories.log import MemoryLogRepository
from aicq.memory.repositories.memories import MemoryFilter, MemoryLinkRepository, MemoryRepository
from aicq.memory.repositories.reach import ReachRepository

__all__ = [
    "ConversationFilter",
    "ConversationMessageRepository",
    "ConversationRepository",
    "MemoryFilter",
    "MemoryLinkRepository",
    "MemoryLogRepository",
    "MemoryRepository",
    "ReachRepository",
]
