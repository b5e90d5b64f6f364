"""Where conversations, memories and their history are kept."""

from aicq.memory.repositories.conversations import ConversationMessageRepository, ConversationRepository
from aicq.memory.repositories.log import MemoryLogRepository
from aicq.memory.repositories.memories import MemoryLinkRepository, MemoryRepository

__all__ = [
    "ConversationMessageRepository",
    "ConversationRepository",
    "MemoryLinkRepository",
    "MemoryLogRepository",
    "MemoryRepository",
]
