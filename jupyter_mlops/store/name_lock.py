"""Name lock: one at a time among all who share a store, through the one thing MLflow makes atomically: a unique name.

MLflow's client has no compare-and-set on tags or aliases. It does refuse a second registered model of one name, on
every backend, so an empty registered model is the lock; it exists for as long as it is held, a fraction of a second.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from ..errors import Conflict, MLOpsError
from .door import mlflow_errors
from .tags import LOCK_NAME, REQUEST

__all__ = ["holding"]

LEFT_BEHIND_SECONDS = 30.0  # held longer than any holder needs: its holder was killed
LOOK_SECONDS = 0.05


@contextlib.contextmanager
def holding(store: Any, what: str, owner: str, *, patience: float = 45.0) -> Iterator[None]:
    """Hold the lock on `what` for the length of a ``with`` block.

    What is guaranteed: two holders at once never happen as long as a holder is done within 30 s; a lock older than
    that, or of the same `owner`, was left by a process that was killed, and is taken over.

    Parameters
    ----------
    store
        The open `Store`.
    owner
        Who takes it: the same name again takes over its own lock, as a request that is asked again after a crash.
    patience
        Seconds to wait for another holder; more than the age at which a lock counts as left behind.

    Raises
    ------
    Conflict
        Others hold it all the time.
    """
    client, uri = store.client, store.workspace.tracking_uri
    name = LOCK_NAME + what
    with mlflow_errors(uri):
        _take(client, name, owner, time.monotonic() + patience)
    try:
        yield
    finally:
        with contextlib.suppress(MLOpsError), mlflow_errors(uri):  # what it guarded is done; the lock grows old
            client.delete_registered_model(name)


def _take(client: Any, name: str, owner: str, deadline: float) -> None:
    from mlflow.exceptions import MlflowException

    while True:
        try:
            client.create_registered_model(name, tags={REQUEST: owner}, description="held while an alias moves")
        except MlflowException as error:
            # MLflow looks the holder up to say that it exists, and may find it gone
            if error.error_code not in ("RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"):
                raise
        else:
            return
        with contextlib.suppress(MlflowException):  # given back between the two calls
            held = client.get_registered_model(name)
            age = time.time() - held.creation_timestamp / 1000
            if held.tags.get(REQUEST) == owner or age > LEFT_BEHIND_SECONDS:
                client.delete_registered_model(name)
                continue
        if time.monotonic() > deadline:
            raise Conflict(
                f"others are changing {name.removeprefix(LOCK_NAME)} all the time.", hint="Try again in a moment."
            )
        time.sleep(LOOK_SECONDS)
