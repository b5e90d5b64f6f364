"""Who acts: actors and agents. Owns `actors` and `agents`. Calls audit and what lies below."""
