"""Docker: an image with the server, the model and what both need; no Jupyter package is in it."""

from __future__ import annotations

from .target import Served, Target

__all__ = ["TARGET", "dockerfile", "files"]

IMAGE = "/srv/deployment/generations/image"


def dockerfile(served: Served) -> str:
    """The Dockerfile; the token comes as a file at run time, and the inference log is a volume.

    The model is compiled, and its plan compared with the original, while the image is built: a container only reads it.
    The log's folder is made, the server's user's own, before it is declared a volume: else Docker makes it, for root alone.
    """
    pickles = " --allow-pickle" if served.allow_pickle else ""
    return f"""# syntax=docker/dockerfile:1
FROM python:{served.python}-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
WORKDIR /srv
COPY requirements.txt ./
RUN pip install --no-cache-dir --requirement requirements.txt \\
 && pip install --no-cache-dir --no-deps "jupyter-mlops=={served.version}" \\
 && useradd --uid 10001 --no-create-home server \\
 && install -d -o 10001 -g 10001 deployment deployment/log
COPY --chown=10001:10001 deployment/ ./deployment/
USER 10001
RUN python -m jupyter_mlops.serving.compiled.build {IMAGE}/model {IMAGE}/plans --root /srv{pickles}
VOLUME ["/srv/deployment/log"]
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=2)"]
CMD ["python", "-m", "jupyter_mlops.serving.server", "/srv/deployment", "--workers", "{served.workers}"]
"""


def files(served: Served) -> dict[str, str]:
    """The Dockerfile and its companions."""
    return {
        "Dockerfile": dockerfile(served),
        "requirements.txt": "\n".join(served.requirements) + "\n",
        ".dockerignore": "*\n!deployment\n!requirements.txt\n",
        "README.md": (
            f"# {served.model} in a container\n\n"
            "```\n"
            f"docker build -t {served.label} .\n"
            "umask 077 && openssl rand -hex 32 > token\n"
            f"docker run -p 8080:8080 -v $PWD/token:/srv/deployment/token:ro -v {served.label}-log:/srv/deployment/log"
            f" {served.label}\n"
            "```\n\n"
            "The token file must be readable by user 10001.\n"
        ),
    }


TARGET = Target("docker", files, "docker build, then docker run with a token file; its README.md says how")
