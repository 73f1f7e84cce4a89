"""One object shared by all workers of a cluster: it lives in an actor, and workers call it through a proxy."""

import inspect
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayTaskError


@ray.remote
class SharedActor:
    """Builds an object where the actor runs, again after each restart, and calls its methods, async ones included."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._shared = build()

    async def call(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = getattr(self._shared, method)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result


class SharedThere:
    """A picklable proxy of an actor's object: its methods block until they return, and release the task's CPU
    meanwhile. They raise what the object raises: Ray's wrapper would hide storage errors.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return ray.get(self._actor.call.remote(name, args, kwargs))
            except RayTaskError as error:
                if isinstance(error.cause, Exception):
                    raise error.cause from error
                raise

        return call
