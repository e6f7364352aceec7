"""Every route asks who you are; reads, changes and refusals come back as the same JSON."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError

from jupyter_mlops import errors
from jupyter_mlops.server.handlers import HANDLERS
from jupyter_mlops.server.packing import STATUS
from jupyter_mlops.session import Session

API = ("jupyter-mlops", "api")


async def refusal(response) -> tuple[int, dict]:
    with pytest.raises(HTTPClientError) as raised:
        await response
    return raised.value.code, json.loads(raised.value.response.body)


def routes_and_verbs():
    for route, handler in HANDLERS:
        for verb in ("get", "post", "put", "patch", "delete", "head"):
            if verb in vars(handler):
                yield route.replace("([^/]+)", "status"), verb.upper()


@pytest.mark.parametrize(("route", "verb"), list(routes_and_verbs()))
async def test_every_route_refuses_whom_it_does_not_know(jp_fetch, route, verb):
    body = "{}" if verb in ("POST", "PUT", "PATCH") else None
    for headers in ({"Authorization": "token wrong"}, {"Authorization": "", "Cookie": "x=1"}):
        code, _ = await refusal(jp_fetch(*API, *route.split("/"), method=verb, headers=headers, body=body))
        assert code in (401, 403)


@pytest.mark.parametrize(("route", "verb"), list(routes_and_verbs()))
async def test_every_route_asks_whether_you_may(jp_fetch, jp_serverapp, monkeypatch, route, verb):
    asked = []

    async def is_authorized(_handler, _user, action, resource):
        asked.append((action, resource))
        return False

    monkeypatch.setattr(jp_serverapp.authorizer, "is_authorized", is_authorized)
    code, _ = await refusal(jp_fetch(*API, *route.split("/"), method=verb, body="{}" if verb == "POST" else None))
    assert (code, asked) == (403, [("write" if verb == "POST" else "read", "jupyter_mlops")])


async def test_a_post_by_cookie_alone_needs_the_xsrf_token(jp_fetch, jp_serverapp):
    token = {"token": jp_serverapp.identity_provider.token}
    with pytest.raises(HTTPClientError) as redirected:
        await jp_fetch("login", params=token, headers={"Authorization": ""}, follow_redirects=False)
    jar = [c.split(";")[0] for c in redirected.value.response.headers.get_list("Set-Cookie")]
    cookies = {"Authorization": "", "Cookie": "; ".join(jar)}
    assert (await jp_fetch(*API, "commands", headers={**cookies, "Sec-Fetch-Site": "same-origin"})).code == 200
    code, told = await refusal(jp_fetch(*API, "commands", "connect", method="POST", body="{}", headers=cookies))
    assert code == 403
    assert "_xsrf" in told["message"]


async def test_another_sites_page_is_refused(jp_fetch):
    code, _ = await refusal(jp_fetch(*API, "commands", headers={"Sec-Fetch-Site": "cross-site"}))
    assert code == 403


async def test_declarations_say_what_commands_take(jp_fetch, workspace: Session):
    response = await jp_fetch(*API, "commands")
    told = {command["name"]: command for command in json.loads(response.body)["commands"]}
    assert set(told) == set(workspace.commands)
    assert told["connect"]["changes"]
    assert not told["data load"]["offered"]  # a table is for kernels
    buttons = {"promote", "rollback", "deploy", "undeploy", "compare", "data diff", "lineage", "drift", "export"}
    assert {name for name in buttons if not told[name]["offered"]} == set()  # each is a button of the panel
    (limit,) = [a for a in told["audit"]["arguments"] if a["name"] == "limit"]
    assert (limit["value"], limit["default"], limit["required"]) == ("integer", 50, False)


async def test_a_read_tells_the_workspace_around_the_notebook(jp_fetch, workspace: Session, jp_root_dir):
    response = await jp_fetch(*API, "commands", "status", params={"path": "notebooks/a b.ipynb"})
    told = json.loads(response.body)
    assert told["kind"] == "Status"
    assert told["root"] == str(jp_root_dir)
    assert told["notebook"] == str(jp_root_dir / "notebooks" / "a b.ipynb")
    assert told["service_state"] == "running"


async def test_a_change_is_carried_out_and_audited_as_the_panels(jp_fetch, jp_root_dir):
    body = json.dumps({"path": "notebooks/n.ipynb", "arguments": {"experiment": "from-the-panel"}})
    response = await jp_fetch(*API, "commands", "connect", method="POST", body=body)
    assert json.loads(response.body)["experiment"] == "from-the-panel"
    response = await jp_fetch(*API, "commands", "audit", params={"limit": "1"})
    (entry,) = json.loads(response.body)["entries"]
    assert entry["action"] == "workspace.connect"
    assert entry["actor"]["via"] == "panel"
    assert entry["actor"]["notebook"] == str(jp_root_dir / "notebooks" / "n.ipynb")


@pytest.mark.parametrize("path", ["../outside", "notebooks/../../outside", "..", "notebooks/away/x.ipynb"])
async def test_no_path_leads_outside(jp_fetch, jp_root_dir, tmp_path, path):
    link = jp_root_dir / "notebooks" / "away"
    if not link.is_symlink():
        link.symlink_to(tmp_path)
    for answer in (
        jp_fetch(*API, "commands", "status", params={"path": path}),
        jp_fetch(*API, "watch", params={"path": path}),
        jp_fetch(*API, "commands", "connect", method="POST", body=json.dumps({"path": path})),
    ):
        code, told = await refusal(answer)
        assert code == 400
        assert "not below Jupyter's root folder" in told["message"]


@pytest.mark.parametrize(
    ("name", "method", "given", "code", "message"),
    [
        ("statsu", "GET", {}, 400, "unknown command 'statsu'"),
        ("audit", "GET", {"limit": "many"}, 400, "--limit takes an integer, not 'many'"),
        ("audit", "GET", {"last": "3"}, 400, "unknown argument of 'audit' 'last'"),
        ("promote", "POST", {"model": "nobody@1"}, 400, "'promote' also needs --to"),
        ("promote", "POST", {"model": "nobody@1", "to": "champion"}, 404, "no model 'nobody'"),
        ("promote", "GET", {"model": "nobody@1", "to": "champion"}, 400, "'promote' is not for GET"),
        ("status", "POST", {}, 400, "'status' is not for POST"),
        ("service stop", "GET", {}, 400, "'service stop' is not for GET"),
        ("data load", "GET", {"ref": "adult"}, 400, "gives an object"),
        ("register", "POST", {"model": {"a": 1}, "name": "m"}, 400, "takes a name or a reference here, not dict"),
        ("data save", "POST", {"table": "../secret.csv", "name": "s"}, 400, "not below Jupyter's root folder"),
    ],
)
async def test_a_mistake_is_told_with_its_code(jp_fetch, name, method, given, code, message):
    if method == "GET":
        answer = jp_fetch(*API, "commands", name, params=given)
    else:
        answer = jp_fetch(*API, "commands", name, method="POST", body=json.dumps({"arguments": given}))
    status, told = await refusal(answer)
    assert status == code, told
    assert message in told["message"]
    assert set(told) == {"code", "message", "hint"}


@pytest.mark.parametrize("body", ["{", "[]", '{"path": 3}', '{"arguments": []}'])
async def test_a_body_that_is_no_request_is_refused(jp_fetch, body):
    code, told = await refusal(jp_fetch(*API, "commands", "connect", method="POST", body=body))
    assert (code, told["code"]) == (400, "invalid-argument")


def test_every_error_has_a_status():
    def tree(cls):
        yield cls
        for child in cls.__subclasses__():
            yield from tree(child)

    ours = {cls.code for cls in tree(errors.MLOpsError) if cls.__module__ == errors.__name__}
    assert set(STATUS) == ours
