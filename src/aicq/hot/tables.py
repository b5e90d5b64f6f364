"""The tables of the hot store, for the comparison of migrations with models; the store itself speaks SQL."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    Sequence,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from aicq.db.models import Model

UNLOGGED = ["UNLOGGED"]

hot_store = Table(
    "hot_store",
    Model.metadata,
    Column("id", Boolean, primary_key=True, server_default=text("true")),
    Column("active", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("history", Text, nullable=False, server_default=text("''")),
    CheckConstraint("id", name="one_row"),
    CheckConstraint("active IN ('redis', 'postgres')", name="active"),
)

hot_mark = Table(
    "hot_mark",
    Model.metadata,
    Column("id", Boolean, primary_key=True, server_default=text("true")),
    Column("epoch", BigInteger, nullable=False),
    CheckConstraint("id", name="one_row"),
    prefixes=UNLOGGED,
)

hot_spans = Table(
    "hot_spans",
    Model.metadata,
    Column("room_id", Uuid, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("public", Boolean, nullable=False),
    prefixes=UNLOGGED,
)

hot_messages = Table(
    "hot_messages",
    Model.metadata,
    Column("room_id", Uuid, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("ts", BigInteger, nullable=False),
    Column("public", Boolean, nullable=False),
    Column("tsv", TSVECTOR, nullable=False),
    Column("wire", LargeBinary, nullable=False),
    # hot_messages_walk: the newest public messages. hot_messages_append: the oldest, to be swept.
    Index("ix_hot_messages_public_ts", "public", "ts", "room_id", "id"),
    # hot_messages_find: public messages by their words.
    Index(
        "ix_hot_messages_tsv_public",
        "tsv",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 64},
        postgresql_where=text("public"),
    ),
    # hot_messages_find: messages of a private room by their words.
    Index(
        "ix_hot_messages_tsv_private",
        "tsv",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 64},
        postgresql_where=text("NOT public"),
    ),
    prefixes=UNLOGGED,
)

hot_limit_hits = Table(
    "hot_limit_hits",
    Model.metadata,
    Column("key", Text(collation="C"), primary_key=True),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("cum", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    # hot_sweep: keys that nobody asks for any more.
    Index("ix_hot_limit_hits_expires", "expires"),
    prefixes=UNLOGGED,
)

hot_blocks = Table(
    "hot_blocks",
    Model.metadata,
    Column("address", Text(collation="C"), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    prefixes=UNLOGGED,
)

hot_values = Table(
    "hot_values",
    Model.metadata,
    Column("key", Text(collation="C"), primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires", BigInteger, nullable=False),
    # hot_sweep: values that have expired.
    Index("ix_hot_values_expires", "expires"),
    prefixes=UNLOGGED,
)

hot_members = Table(
    "hot_members",
    Model.metadata,
    Column("key", Text(collation="C"), primary_key=True),
    Column("name", Text(collation="C"), primary_key=True),
    Column("expires", BigInteger, nullable=False),
    # hot_sweep: members that have expired.
    Index("ix_hot_members_expires", "expires"),
    prefixes=UNLOGGED,
)

hot_locks = Table(
    "hot_locks",
    Model.metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    prefixes=UNLOGGED,
)

lock_tokens = Sequence("lock_tokens", metadata=Model.metadata)
"""Fencing tokens. Logged, unlike the leases: no crash gives one out twice."""
