"""Tables as admins see them: a `Resource` says what of a table is shown and what may be written, the rest follows.

    Resource(Team, create=("name", "slug", "owner_id"), update=("name",), delete=True, filters=("slug",))

gives `/admin/teams`: list, get, create, change and delete, with types and bounds read from the model and each change in
the audit log. What a table needs beyond that is a subclass that overrides `clean`, `add`, `change` or `remove`.
"""
