"""What conversations and memories look like to whoever keeps and asks them."""

from aicq.memory.schemas.conversations import ConversationCreate, MessageCreate
from aicq.memory.schemas.memories import (
    MemoryChange,
    MemoryCreate,
    MemoryRecord,
    MemorySearchRequest,
    MemorySearchResult,
    PastMemory,
    Recollection,
    ScoreParts,
)

__all__ = [
    "ConversationCreate",
    "MemoryChange",
    "MemoryCreate",
    "MemoryRecord",
    "MemorySearchRequest",
    "MemorySearchResult",
    "MessageCreate",
    "PastMemory",
    "Recollection",
    "ScoreParts",
]
