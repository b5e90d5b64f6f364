"""Who acts: actors and agents. Owns `actors` and `agents`. Calls auth and what lies below."""
