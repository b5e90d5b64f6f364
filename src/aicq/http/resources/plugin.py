"""ResourcesPlugin: the calls of all resources."""

from collections.abc import Sequence

from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from aicq.http.admission import Gate
from aicq.http.resources.controllers import Calls
from aicq.http.resources.resource import Resource
from aicq.http.resources.services import Recorder


class ResourcesPlugin(InitPlugin):
    """Adds `/admin/<table>` for each resource.

    Args:
        resources: The tables.
        gate: Lets admins in.
        record: Writes the audit log.
    """

    def __init__(self, resources: Sequence[Resource], *, gate: Gate, record: Recorder) -> None:
        self.resources = sorted(resources, key=lambda resource: resource.name)
        self._gate = gate
        self._record = record

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Adds the routes."""
        for resource in self.resources:
            app_config.route_handlers += Calls(resource, gate=self._gate, record=self._record).handlers()
        return app_config
