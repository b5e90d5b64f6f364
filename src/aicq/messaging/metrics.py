"""What `/metrics` tells of rooms that are followed."""

from prometheus_client import Gauge, Histogram

FOLLOWERS = Gauge("aicq_live_followers", "Rooms that are followed, by each who follows", multiprocess_mode="livesum")
LISTENING = Gauge("aicq_live_listeners", "Workers that hear wake-ups", multiprocess_mode="livesum")
DELAY = Histogram(
    "aicq_live_delay_seconds",
    "Time from an entry's own time until it is handed to those who follow its room",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
