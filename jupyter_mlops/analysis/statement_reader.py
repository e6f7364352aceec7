"""Statement reader: the effects of one statement, as far as its text tells. Where it does not tell, the worst is assumed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from .effects import Call, Effects, FunctionEffects
from .known_calls import CHANGES_FIRST, INPLACE_METHODS, ITERATORS, PURE_METHODS, SHOWING, SHOWING_WORDS
from .names import dotted_name, parameter_names, shared_names, stored_names

__all__ = ["effects_of"]


def effects_of(node: ast.stmt, modules: Iterable[str] = ()) -> Effects:
    """Read one statement.

    Parameters
    ----------
    modules
        Names that are bound to modules: calling their functions does not change them.

    Examples
    --------
    >>> found = effects_of(ast.parse("df['b'] = df.a + k").body[0])
    >>> sorted(found.reads), found.writes, found.mutates
    (['df', 'k'], set(), {'df'})
    """
    visitor = _Visitor(frozenset(modules))
    visitor.visit(node)
    found = visitor.found
    found.writes = visitor.bound - found.deletes
    found.maybe = (visitor.stored | found.maybe) - found.writes - found.deletes
    found.mutates |= found.surely
    return found


class _Visitor(ast.NodeVisitor):
    def __init__(self, modules: frozenset[str], hidden: frozenset[str] = frozenset()) -> None:
        self.modules = modules
        self.hidden = hidden
        self.found = Effects()
        self.bound: set[str] = set()
        self.stored: set[str] = set()

    # names

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.hidden:
            return
        if isinstance(node.ctx, ast.Load):
            if node.id not in self.bound:
                self.found.reads.add(node.id)
        elif isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self.found.deletes.add(node.id)

    def _bind(self, name: str) -> None:
        if name not in self.hidden:
            self.bound.add(name)
            self.stored.add(name)

    def _changes(self, node: ast.expr, *, surely: bool) -> None:
        for name in shared_names(node):
            if name not in self.hidden:
                (self.found.surely if surely else self.found.mutates).add(name)

    # assignments

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._alias(target, node.value)
            for other in node.targets[1:]:  # `a = b = []` binds one list twice
                self._alias(other, target)
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._alias(node.target, node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._alias(node.target, node.value)
        self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self.visit(ast.Name(node.target.id, ast.Load()))
            self._changes(ast.Name(node.target.id, ast.Load()), surely=True)  # `l += [1]` changes the list itself
        self.visit(node.target)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._part(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self._part(node)
        self.visit(node.slice)

    def _part(self, node: ast.Attribute | ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._changes(node.value, surely=True)
        self.visit(node.value)

    def _alias(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
            for i, element in enumerate(target.elts):
                self._alias(element, values[i] if len(values) == len(target.elts) else value)
        elif isinstance(target, ast.Starred):
            self._alias(target.value, value)
        elif isinstance(target, ast.Name):
            known = {name for name in shared_names(value) if name not in self.hidden | self.modules}
            self.found.aliases.setdefault(target.id, set()).update(known)
            if isinstance(value, (ast.Name, ast.IfExp, ast.BoolOp, ast.Call)):
                self.found.same.setdefault(target.id, set()).update(known)
            if isinstance(value, ast.GeneratorExp) or (
                isinstance(value, ast.Call) and dotted_name(value.func).rpartition(".")[2] in ITERATORS
            ):
                self.found.iterators.add(target.id)
            if isinstance(value, ast.Lambda):
                self.found.functions[target.id] = self._inner(value, [value.body])
        else:  # what is put into an object is from then on part of it
            roots = shared_names(target.value) if isinstance(target, (ast.Attribute, ast.Subscript)) else set()
            for root in roots - self.hidden:
                held = {name for name in shared_names(value) if name not in self.hidden | self.modules}
                self.found.aliases.setdefault(root, {root}).update(held)

    # control flow

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branches([node.body, node.orelse])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = set(self.bound)
        self._alias(node.target, node.iter)
        self.visit(node.target)
        given = set(self.bound)
        self._block(node.body)
        if not _has_elements(node.iter):
            self.bound = before
        elif any(isinstance(part, (ast.Break, ast.Continue)) for part in ast.walk(node)):
            self.bound = given
        self._branches([node.orelse, []])

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branches([node.body, []])
        self._branches([node.orelse, []])

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._alias(item.optional_vars, item.context_expr)
                self.visit(item.optional_vars)
        self._block(node.body)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self.visit_With(node)

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        handlers: list[list[ast.AST]] = []
        for handler in node.handlers:
            named: list[ast.AST] = [ast.Name(handler.name, ast.Store())] if handler.name else []
            handlers.append([*([handler.type] if handler.type else []), *named, *handler.body])
        self._branches([[*node.body, *node.orelse], *handlers])
        self._block(node.finalbody)

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self.visit_Try(node)

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        cases: list[list[ast.AST]] = [[*([case.guard] if case.guard else []), *case.body] for case in node.cases]
        self._branches([*cases, []])
        for part in ast.walk(node):
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(part, (ast.MatchAs, ast.MatchStar, ast.MatchMapping)) and name:
                self.stored.add(name)

    def _branches(self, branches: Iterable[Iterable[ast.AST]]) -> None:
        before, after = set(self.bound), []
        for branch in branches:
            self.bound = set(before)
            self._block(branch)
            after.append(self.bound)
        self.bound = set.intersection(*after)

    def _block(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    # scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._block(node.decorator_list)
        self._arguments(node.args)
        if node.returns is not None:
            self.visit(node.returns)
        made = self.found.functions[node.name] = self._inner(node, node.body)
        made.caches = any(dotted_name(d).rpartition(".")[2] in ("cache", "lru_cache") for d in node.decorator_list)
        self._bind(node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._arguments(node.args)
        inner = self._inner(node, [node.body])  # it may be called at once, as in `df.apply(lambda ...)`
        self.found.reads |= inner.reads - self.bound
        self.found.mutates |= inner.mutates
        self.found.outside.add(inner.outside)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._block([*node.decorator_list, *node.bases, *(k.value for k in node.keywords)])
        own = stored_names(node.body)
        inner = FunctionEffects()
        visitor = _Visitor(self.modules, self.hidden)
        for part in node.body:
            if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                visitor._block(part.decorator_list)
                visitor._arguments(part.args)
                method = self._inner(part, part.body)
                inner.reads |= method.reads
                inner.writes |= method.writes
                inner.mutates |= method.mutates
                inner.outside.add(method.outside)
            else:
                visitor.visit(part)
        self.found.reads |= visitor.found.reads - own - self.bound
        for nested in visitor.found.functions.values():
            inner.reads |= nested.reads
        self.found.functions[node.name] = inner
        self._bind(node.name)

    def _arguments(self, args: ast.arguments) -> None:
        self._block([*args.defaults, *(d for d in args.kw_defaults if d is not None)])
        every = [
            *args.posonlyargs,
            *args.args,
            *args.kwonlyargs,
            *([args.vararg] if args.vararg else []),
            *([args.kwarg] if args.kwarg else []),
        ]
        self._block([a.annotation for a in every if a.annotation is not None])

    def _inner(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: Iterable[ast.AST]
    ) -> FunctionEffects:
        """What a function does to names outside of it."""
        body = list(body)
        parameters = parameter_names(node.args)
        declared = {name for part in body for n in ast.walk(part) if isinstance(n, ast.Global) for name in n.names}
        local = (stored_names(body) | set(parameters)) - declared
        visitor = _Visitor(self.modules, self.hidden | local)
        visitor._block(body)
        free = visitor.found
        inner = FunctionEffects(
            set(free.reads), visitor.stored & declared, free.mutates | free.surely, tuple(parameters)
        )
        for nested in free.functions.values():
            inner.reads |= nested.reads - local
            inner.writes |= nested.writes
            inner.mutates |= nested.mutates - local
        inner.defaults = _defaults(node.args)
        inner.changed_parameters, inner.calls = _parameters_changed(body, parameters, self.modules)
        inner.outside = free.outside
        inner.is_generator = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for part in body for n in ast.walk(part))
        return inner

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        own = {n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)}
        before, self.hidden = self.hidden, self.hidden | own
        for i, generator in enumerate(node.generators):
            self._block([*([generator.iter] if i else []), *generator.ifs])
        self._block([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self.hidden = before
        # A method called on the elements may change what they are part of.
        for call in ast.walk(node):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in INPLACE_METHODS
            ):
                self._changes(node.generators[0].iter, surely=False)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    # imports, calls

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self._call(node.value, thrown_away=True)
        else:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        self._call(node, thrown_away=False)

    def _call(self, node: ast.Call, *, thrown_away: bool) -> None:
        dotted = dotted_name(node.func)
        head, _, last = dotted.rpartition(".")
        first = dotted.partition(".")[0]
        in_place = any(
            k.arg == "inplace" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
            for k in node.keywords
        )
        if isinstance(node.func, ast.Attribute) and first not in self.modules:
            if in_place or last in INPLACE_METHODS:
                self._changes(node.func.value, surely=True)
            elif (
                last not in PURE_METHODS
                and not {"plot", "str", "dt", "style"} & set(head.split("."))
                and first not in SHOWING
            ):
                self._changes(node.func.value, surely=False)
        begun = bool(node.args) and ast.unparse(node.args[0]).startswith("iter(")  # `next(iter(l))` leaves the list
        if last in CHANGES_FIRST and node.args and (first in self.modules or not head) and not begun:
            self._changes(node.args[0], surely=True)
        handed = [("", frozenset(shared_names(arg) - self.hidden)) for arg in node.args]
        handed += [(k.arg or "", frozenset(shared_names(k.value) - self.hidden)) for k in node.keywords]
        showing = first in SHOWING or last in SHOWING or last.startswith(SHOWING_WORDS)
        if last in ("query", "eval"):  # `df.query("age > @limit")` reads `limit`
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            named = {name for text in texts for name in re.findall(r"@([A-Za-z_]\w*)", text)}
            self.found.reads |= named - self.hidden - self.bound
        saves = self.found.outside.note(node, dotted)
        if first not in self.hidden:
            acts = thrown_away and not showing and not saves and (not head or first in self.modules)
            self.found.calls.append(Call(dotted, tuple(handed), acts))
        self.generic_visit(node)


def _has_elements(node: ast.expr) -> bool:
    """Whether what a loop goes over surely has something in it: ``("a", "b")``, ``range(3)``."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(not isinstance(element, ast.Starred) for element in node.elts)
    if isinstance(node, ast.Call) and dotted_name(node.func) == "range" and len(node.args) == 1:
        return isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, int) and node.args[0].value > 0
    return False


def _defaults(args: ast.arguments) -> dict[str, set[str]]:
    """The names that the defaults of parameters share their objects with."""
    every = [*args.posonlyargs, *args.args]
    pairs = [*zip(every[len(every) - len(args.defaults) :], args.defaults, strict=True)]
    pairs += [(arg, value) for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True) if value is not None]
    return {arg.arg: names for arg, value in pairs if (names := shared_names(value))}


def _parameters_changed(
    body: list[ast.AST], parameters: list[str], modules: frozenset[str]
) -> tuple[set[str], list[Call]]:
    """The parameters whose objects a function's body may change, and its calls in terms of the parameters."""
    origin = {name: {name} for name in parameters}
    changed: set[str] = set()
    calls: list[Call] = []
    for part in body:
        visitor = _Visitor(modules)
        visitor.visit(part)
        found = visitor.found

        def origins(name: str, aliases: dict[str, set[str]] = found.aliases) -> set[str]:
            return origin.get(name, set()).union(*(origin.get(other, set()) for other in aliases.get(name, ())))

        changed = changed.union(*(origins(name) for name in found.mutates | found.surely))
        for call in found.calls:
            handed = ((key, frozenset().union(*(origins(name) for name in names))) for key, names in call.handed)
            calls.append(Call(call.dotted, tuple(handed), call.acts))
        shared = {
            name: origins(name) - (origin.get(name, set()) if name in visitor.bound else set())
            for name in visitor.stored
        }
        for name, sources in found.aliases.items():
            shared[name] = shared.get(name, set()).union(*(origin.get(other, set()) for other in sources))
        origin.update(shared)
    return changed, calls
