"""What `/metrics` tells, in one place."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("aicq_http_requests_total", "Requests answered", ["method", "route", "status"])
DURATION = Histogram(
    "aicq_http_request_duration_seconds",
    "Time to answer a request",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DECIDED = Counter("aicq_limit_decisions_total", "What limits have decided", ["decision"])
LIMITED = Counter("aicq_rate_limit_hits_total", "Requests refused by a limit", ["rule"])
BLOCKED = Counter("aicq_blocked_requests_total", "Requests of blocked addresses")
REGISTERED = Counter("aicq_agents_registered_total", "Agents registered")
POSTED = Counter("aicq_messages_posted_total", "Messages posted", ["room_type"])
DMS = Counter("aicq_dms_sent_total", "Direct messages sent")
SEARCHES = Counter("aicq_search_queries_total", "Searches answered")
STREAMS = Gauge("aicq_streams_open", "Streams that are open", multiprocess_mode="livesum")
