"""Ray: a Ray Serve application with replicas, each the model server's own application; run only where Ray is."""

from __future__ import annotations

from .target import Served, Target

__all__ = ["TARGET", "files"]

APP = '''"""{model} on Ray Serve: `serve run app:app`, with the token in the file `deployment/token`."""

import os
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is started

from ray import serve

HERE = Path(__file__).resolve().parent / "deployment"


@serve.deployment(
    name="{label}",
    autoscaling_config={{"min_replicas": 2, "max_replicas": 10, "target_ongoing_requests": 16}},
    max_ongoing_requests=64,
    ray_actor_options={{"num_cpus": 1}},
)
class Model:
    """One replica: loads the model, answers, and writes its own segments of the inference log."""

    def __init__(self) -> None:
        from jupyter_mlops.serving.server import Versions
        from jupyter_mlops.serving.app import App
        from jupyter_mlops.serving.deployment_folder import DeploymentFolder
        from jupyter_mlops.domain.deployment import LogRules
        from jupyter_mlops.serving.routing import OneSlot

        folder = DeploymentFolder(HERE)
        slot = Versions(folder.log, print).slot(folder.generation("image"), "{model}", LogRules())
        self.app = App(OneSlot(slot), token=folder.token())

    async def __call__(self, request):
        from starlette.responses import Response

        sent = []

        async def send(message):
            sent.append(message)

        await self.app(request.scope, request.receive, send)
        answer = Response(b"".join(message.get("body", b"") for message in sent), status_code=sent[0]["status"])
        answer.raw_headers = list(sent[0]["headers"])
        return answer


app = Model.bind()

if __name__ == "__main__":
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    serve.run(app, blocking=True)
'''


def files(served: Served) -> dict[str, str]:
    """The application."""
    return {
        "app.py": APP.format(model=served.model, label=served.label),
        "requirements.txt": "\n".join(("ray[serve]>=2.40", *served.requirements)) + "\n",
        "README.md": (
            f"# {served.model} on Ray Serve\n\n"
            f"```\npip install -r requirements.txt && pip install --no-deps jupyter-mlops=={served.version}\n"
            "umask 077 && openssl rand -hex 32 > deployment/token\nserve run app:app\n```\n\n"
            "It answers at http://127.0.0.1:8000 whoever sends the token, as `Authorization: Bearer ...`, and ends with Ctrl-C.\n"
            "A replica that dies is replaced; what it had accepted is answered 500 by Ray, and has to be sent again. Each\n"
            "replica writes what it answers into `deployment/log` first. Ray's usage statistics are switched off.\n"
        ),
    }


TARGET = Target("ray", files, "serve run app:app where Ray is installed; see its README.md")
