"""What the page shows as it is: templates of HTML, filled in with what others get as JSON."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from reslab.studio.security import Handler


class Drawn(Handler):
    """Answers the page with a template that is filled in, and whoever else asks with JSON."""

    template = ""  # a file in `pages/`

    def answer(self, content: dict[str, Any]) -> None:
        wanted = "text/html" in self.request.headers.get("Accept", "")
        if wanted and self.get_status() == HTTPStatus.OK:
            # Of a name that is no Unicode what can be shown.
            text = json.dumps(content, ensure_ascii=False).encode(errors="replace")
            self.set_header("Vary", "Accept")
            answer = json.loads(text)
            self.render(self.template, answer=answer, **answer)
        else:
            super().answer(content)

    def get_template_namespace(self) -> dict[str, Any]:
        more = {"address": address, "asked_for": self._asked_for}
        return super().get_template_namespace() | more

    def _asked_for(self, name: str) -> str:
        return self.get_query_argument(name, "", strip=False)


def address(path: str, **parameters: Any) -> str:
    """A path with parameters, of which empty ones are left out and lists say theirs again."""
    kept = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept, doseq=True, errors='replace')}" if kept else path
