"""Who is asking: signed requests, and the principal they make. Owns `nonces`.

Declares what it asks of a directory of actors (`Directory`); identity implements it and the app wires it.
"""
