"""The body of a `%%mlops run` cell: run as IPython runs a cell, inside a run, and summed up in one line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from IPython.display import display

from ..errors import InvalidArgument, Unavailable
from ..session import Session
from .progress import Progress
from .summary import RunSummary

__all__ = ["BodyRunner"]


class BodyRunner:
    """Runs cell bodies in the user's namespace.

    IPython's own machinery runs the body, so its last value is displayed, its magics work and its errors look as ever.
    An error must then fail the outer cell as well, or Run All would go on, but not be shown a second time: the shell
    is asked to pass over that one exception, until the cell is over.
    """

    def __init__(self, shell: Any, session: Session, progress: Progress) -> None:
        self.shell = shell
        self.session = session
        self.progress = progress
        self.counted = False
        """Whether the cell that holds the body has a number of its own."""
        self._shown: BaseException | None = None

    def run(self, name: str | None, source: str, *, into: str = "", again: str = "", quiet: bool = False) -> None:
        """Run `source` as a run called `name`.

        Parameters
        ----------
        into
            The variable to bind the run to; to None where it cannot be recorded.
        again
            What becomes of the earlier run of this cell.
        quiet
            Leaves out the line that sums up.

        Raises
        ------
        InvalidArgument
            The body awaits something at its top level where that cannot be.
        BaseException
            What the body raised, already shown.
        """
        transformed, failure = self._transformed(source)
        run_async = failure is None and self.shell.should_run_async(source, transformed_cell=transformed)
        if run_async and _loop_runs():
            raise InvalidArgument(
                "a cell under %%mlops run cannot use `await` at its top level.",
                hint="Write `with mlops.run():` in a plain cell; `await` works in there.",
            )
        handle: Any = None
        result: Any = None
        try:
            with contextlib.ExitStack() as stack:
                stack.enter_context(self.session.context.acting("magic"))
                try:
                    handle = stack.enter_context(self.session.run(name or None, source=source, again=again))
                except Unavailable as error:  # a folder or disk that takes nothing: the cell is worth more than its run
                    sys.stderr.write(f"This cell is no run: {error}\n")
                if into:
                    self.shell.user_ns[into] = handle
                result = self._as_cell(source, transformed, failure, in_loop=run_async)
                result.raise_error()
        finally:
            # The run ended with its figures open; they are shown now, above the line that sums up.
            if result is not None:
                self.shell.events.trigger("post_execute")
                self.shell.events.trigger("post_run_cell", result)
            self.progress.finish()
            if handle is not None and not quiet:
                display(RunSummary.of(handle))  # type: ignore[no-untyped-call]
            if result is not None and not result.success:
                self._pass_over(result.error_before_exec or result.error_in_exec)

    def forget(self) -> None:
        """Show every error again."""
        if self._shown is not None:
            self._shown = None
            vars(self.shell).pop("showtraceback", None)

    def _transformed(self, source: str) -> tuple[str, Any]:
        try:
            return self.shell.transform_cell(source), None
        except Exception:
            return source, sys.exc_info()

    def _as_cell(self, source: str, transformed: str, failure: Any, *, in_loop: bool) -> Any:
        running = self.shell.run_cell_async(source, transformed_cell=transformed, preprocessing_exc_tuple=failure)
        with self._parsed_as(transformed), self._numbered():
            if in_loop:
                return self.shell.loop_runner(running)
            try:
                running.send(None)
            except StopIteration as done:
                return done.value
            raise RuntimeError("a cell without `await` waited for something")

    @contextlib.contextmanager
    def _parsed_as(self, transformed: str) -> Iterator[None]:
        """Let the display hook look for the closing ``;`` in the body: it reads the last cell of the history."""
        history = getattr(self.shell.history_manager, "input_hist_parsed", None)
        if not history:
            yield
            return
        last = history[-1]
        history[-1] = transformed
        try:
            yield
        finally:
            history[-1] = last

    @contextlib.contextmanager
    def _numbered(self) -> Iterator[None]:
        """Let tracebacks say ``Cell In[7]`` of the cell that shows 7: IPython already counts for the next one.

        The number is read first thing; what comes after, as ``Out[7]``, needs the count as it was.
        """
        count = self.shell.execution_count

        def restore() -> None:
            self.shell.execution_count = count

        if self.counted:
            self.shell.execution_count = count - 1
        self.shell.events.register("pre_execute", restore)
        try:
            yield
        finally:
            restore()
            self.shell.events.unregister("pre_execute", restore)

    def _pass_over(self, shown: BaseException) -> None:
        """Have the shell not show `shown` again, and nothing else."""
        self.forget()
        if "showtraceback" in vars(self.shell):
            return  # somebody else has put an own one in; showing twice is better than breaking it
        show = self.shell.showtraceback

        def showtraceback(*args: Any, **keywords: Any) -> None:
            if self._shown is not None and sys.exc_info()[1] is self._shown:
                self.forget()
            else:
                show(*args, **keywords)

        self._shown = shown
        self.shell.showtraceback = showtraceback


def _loop_runs() -> bool:
    import asyncio  # where no kernel has loaded it, it costs more than all of this module

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
