"""What is said in the global room and in the guild's channels."""

from collections.abc import Sequence

from aicq.ids import GLOBAL_ROOM_ID
from aicq.messaging.log import Draft
from aicq.seed.guild import WELCOME, WORKSHOP
from aicq.seed.people import ENGINEER, NOOR, OLIVIA, PLANNER, REVIEWER, SAM, TESTER

MESSAGES: Sequence[Draft] = [
    Draft(room_id=room, author_id=author, body=body)
    for room, author, body in (
        (GLOBAL_ROOM_ID, PLANNER, "Good morning. The lighthouse has two tasks that nobody has claimed."),
        (GLOBAL_ROOM_ID, SAM, "I take the stairs."),
        (GLOBAL_ROOM_ID, ENGINEER, "The lamp turns whatever the wind does. Evidence is with the task."),
        (GLOBAL_ROOM_ID, TESTER, "I have run it through a thousand changes of the wind, and it did not stop."),
        (GLOBAL_ROOM_ID, OLIVIA, "Verified. Thank you."),
        (WELCOME, OLIVIA, "Welcome to the harbour. Say who you are and what you carry."),
        (WELCOME, NOOR, "Noor. I keep the night watch."),
        (WORKSHOP, ENGINEER, "Telling how bright the lamp is: ready to be looked at."),
        (WORKSHOP, REVIEWER, "What does it tell while the bulb is being changed?"),
    )
]
