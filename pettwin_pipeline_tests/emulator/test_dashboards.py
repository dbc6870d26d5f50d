"""Dashboards: what the server adds, keeps and refuses, in the words of the real one."""

from typing import Any

import pytest

from pettwin_pipeline.emulator.resources.dashboard_rules import slug
from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.asking import ask

NOTE = {"definition": {"type": "note", "content": "hello"}}
LAYOUT = {"x": 0, "y": 0, "width": 4, "height": 2}


def board(**more: Any) -> dict[str, Any]:
    return {"title": "one", "layout_type": "ordered", "widgets": [NOTE], **more}


def test_the_server_adds_these_fields_and_no_other(local: LocalDatadog) -> None:
    sent = board(reflow_type="auto", tags=["team:a"])
    made = ask(local, "POST", "/api/v1/dashboard", sent).json
    added = {name: value for name, value in made.items() if name not in sent}
    assert added.keys() == {
        "id", "author_handle", "author_name", "url", "created_at", "modified_at",
        "description", "template_variables", "notify_list", "restricted_roles",
    }  # fmt: skip
    assert added["restricted_roles"] == []
    assert added["description"] is added["template_variables"] is added["notify_list"] is None
    del made["widgets"][0]["id"]
    assert {name: made[name] for name in sent} == sent


def test_what_was_read_can_be_sent_again_and_changes_nothing_but_the_time(
    local: LocalDatadog,
) -> None:
    group = {"definition": {"type": "group", "layout_type": "ordered", "widgets": [NOTE]}}
    made = ask(local, "POST", "/api/v1/dashboard", board(widgets=[group, NOTE])).json
    again = ask(local, "PUT", f"/api/v1/dashboard/{made['id']}", made).json
    assert again | {"modified_at": ""} == made | {"modified_at": ""}


def test_tabs_name_widgets_by_place_and_are_given_their_ids(local: LocalDatadog) -> None:
    tabs = [{"name": "first", "widget_ids": ["@2", "@1"]}]
    made = ask(local, "POST", "/api/v1/dashboard", board(widgets=[NOTE, NOTE], tabs=tabs)).json
    first, second = (widget["id"] for widget in made["widgets"])
    assert made["tabs"][0]["widget_ids"] == [second, first]
    assert made["tabs"][0]["id"]
    wrong = board(tabs=[{"name": "x", "widget_ids": ["@7"]}])
    assert ask(local, "POST", "/api/v1/dashboard", wrong).status == 400


PRESET = [{"name": "p", "template_variables": [{"name": "a", "value": "*", "values": ["*"]}]}]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tags": ["env:a"]}, "Invalid tag format. Valid tag keys are: team."),
        (
            {"tags": [f"team:{number}" for number in range(6)]},
            "Maximum number of elements in parameter 'tags' should be 5",
        ),
        (
            {"layout_type": "spiral"},
            "Value of parameter 'layout_type' should be any of these ['free', 'ordered']",
        ),
        (
            {"template_variables": [{"name": "a", "default": "x", "defaults": ["x"]}]},
            "'template_variables' is invalid",
        ),
        (
            {"template_variable_presets": PRESET},
            "'template_variables' value '{'name': 'a', 'value': '*', 'values': ['*']}' is invalid",
        ),
        ({"widgets": {}}, "'widgets' is invalid"),
        (
            {"widgets": [{}]},
            "Invalid widget at position 0. Error: 'definition' is a required property",
        ),
        (
            {"layout_type": "free"},
            "Invalid widget at position 0. Error: 'layout' is a required property",
        ),
        (
            {"widgets": [NOTE, {"definition": {"type": "note"}}]},
            (
                "Invalid widget definition at position 1 of type note. "
                "Error: 'content' is a required property"
            ),
        ),
        (
            {
                "widgets": [
                    {
                        "definition": {
                            "type": "group",
                            "layout_type": "ordered",
                            "widgets": [{"definition": {"type": "note"}}],
                        }
                    }
                ]
            },
            (
                "Invalid widget definition at position 0 of type group. Error: Invalid inner widget"
                " definition at position 0 of type note. Error: 'content' is a required property"
            ),
        ),
    ],
)
def test_what_is_no_dashboard_is_refused(
    local: LocalDatadog, more: dict[str, Any], words: str
) -> None:
    answer = ask(local, "POST", "/api/v1/dashboard", board(**more))
    assert (answer.status, answer.errors) == (400, [words])
    assert local.state.storage.counts() == {}


def test_a_free_dashboard_has_layouts(local: LocalDatadog) -> None:
    free = board(layout_type="free", widgets=[{**NOTE, "layout": LAYOUT}])
    assert ask(local, "POST", "/api/v1/dashboard", free).status == 200


def test_html_in_a_title_comes_back_as_it_was_and_never_reaches_the_url(
    local: LocalDatadog,
) -> None:
    title = '<script>alert("x")</script> & "more"'
    made = ask(local, "POST", "/api/v1/dashboard", board(title=title)).json
    assert made["title"] == title
    assert made["url"] == f"/dashboard/{made['id']}/scriptalertxscript-more"


def test_a_slug_is_short_and_plain() -> None:
    assert slug("OpenStack Controller Overview [Default Microversion]") == (
        "openstack-controller-overview-default-microversion"
    )
    assert slug("Überlauf_%  -- ") == "uberlauf-"
    assert len(slug("long " * 100)) == 80


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/dashboard/../../etc/passwd",
        "/api/v1/dashboard/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/api/v1/dashboard/' or 1=1 --",
        "/api/v1/dashboard/%00",
        "/api/v1/dashboard/%ff%fe",
        "//api/v1/dashboard",
        "/api/v1/dashboard/" + "x" * 5_000,
    ],
)
def test_a_trick_in_the_path_finds_nothing(local: LocalDatadog, path: str) -> None:
    answer = ask(local, "GET", path.replace(" ", "%20"))
    assert answer.status == 404
    assert answer.errors
