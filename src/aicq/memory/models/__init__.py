"""Conversations, memories and their history."""

from aicq.memory.models.conversations import Conversation, ConversationMessage
from aicq.memory.models.log import MemoryLog
from aicq.memory.models.memories import Memory, MemoryAccess, MemoryLink, MemoryTag

__all__ = ["Conversation", "ConversationMessage", "Memory", "MemoryAccess", "MemoryLink", "MemoryLog", "MemoryTag"]
