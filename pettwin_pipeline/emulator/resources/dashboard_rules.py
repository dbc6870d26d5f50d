"""What a dashboard must be, in Datadog's own words where they are known; ids of its widgets.

Pure. Texts of refused template variables and tags are from recordings; those of refused widgets
from reports of users (terraform-provider-datadog #1753, datadogpy #410).
"""

import re
import unicodedata
from typing import Any, Final

from pettwin_pipeline.emulator.dice import Dice
from pettwin_pipeline.emulator.refusals import bad_request, refuse
from pettwin_pipeline.emulator.schema import Problem, check_model, find_problem

TEAM: Final = "team:"
MOST_TAGS: Final = 5
_LAYOUTS: Final = ["free", "ordered"]
_REFLOWS: Final = ["auto", "fixed"]
_SLUG_LENGTH: Final = 80
_POSITION: Final = re.compile(r"@([1-9]\d{0,5})")


def slug(title: str) -> str:
    """The last part of a dashboard's URL: `My CPU_load!` -> `my-cpuload`."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9\s-]", "", plain).strip()
    return re.sub(r"[-\s]+", "-", kept)[:_SLUG_LENGTH]


def check_dashboard(body: dict[str, Any]) -> None:
    """Refuse what is no dashboard.

    Raises:
        Refusal: 400 with what is wrong.
    """
    for name in ("title", "layout_type", "widgets"):
        if name not in body:
            refuse(f"'{name}' is a required property")
    if not isinstance(body["title"], str):
        refuse("'title' is invalid")
    _check_value(body, "layout_type", _LAYOUTS)
    if body.get("reflow_type") is not None:
        _check_value(body, "reflow_type", _REFLOWS)
        if body["layout_type"] != "ordered":
            refuse("'reflow_type' is only for dashboards of layout type 'ordered'")
    _check_tags(body.get("tags"))
    _check_variables(body.get("template_variables"))
    for preset in _objects(body.get("template_variable_presets"), "template_variable_presets"):
        _check_preset(preset)
    placed = body["layout_type"] == "free" or body.get("reflow_type") == "fixed"
    _check_widgets(body["widgets"], placed=placed)


def _check_value(body: dict[str, Any], name: str, allowed: list[str]) -> None:
    if body[name] not in allowed:
        refuse(f"Value of parameter '{name}' should be any of these {allowed}")


def _check_tags(tags: Any) -> None:
    if tags is None:
        return
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        refuse("'tags' is invalid")
    if not all(tag.startswith(TEAM) for tag in tags):
        refuse("Invalid tag format. Valid tag keys are: team.")
    if len(tags) > MOST_TAGS:
        refuse(f"Maximum number of elements in parameter 'tags' should be {MOST_TAGS}")


def _objects(told: Any, name: str) -> list[dict[str, Any]]:
    if told is None:
        return []
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise bad_request(f"'{name}' is invalid")
    return told


def _check_variables(told: Any) -> None:
    for variable in _objects(told, "template_variables"):
        both = variable.get("default") is not None and variable.get("defaults") is not None
        wrong = check_model("v1.DashboardTemplateVariable", variable, "template_variables")
        if both or wrong:
            refuse("'template_variables' is invalid")


def _check_preset(preset: dict[str, Any]) -> None:
    for variable in _objects(preset.get("template_variables"), "template_variables"):
        if variable.get("value") is not None and variable.get("values") is not None:
            refuse(f"'template_variables' value '{variable}' is invalid")
    problem = check_model("v1.DashboardTemplateVariablePreset", preset, "template_variable_presets")
    if problem:
        raise bad_request(problem.said)


def _check_widgets(widgets: Any, *, placed: bool) -> None:
    if not isinstance(widgets, list):
        refuse("'widgets' is invalid")
    for position, widget in enumerate(widgets):
        if not isinstance(widget, dict):
            refuse(f"Invalid widget at position {position}. Error: it is not of type 'object'")
        problem = _problem_of_frame(widget, placed=placed)
        if problem:
            refuse(f"Invalid widget at position {position}. Error: {problem.text}")
        text = _problem_of_definition(widget["definition"])
        if text:
            kind = widget["definition"].get("type")
            refuse(
                f"Invalid widget definition at position {position} of type {kind}. Error: {text}"
            )


def _problem_of_frame(widget: dict[str, Any], *, placed: bool) -> Problem | None:
    if not isinstance(widget.get("definition"), dict):
        return Problem("definition", "'definition' is a required property")
    if widget.get("layout") is None:
        # Nothing places a widget of a free or fixed dashboard but its layout.
        return Problem("layout", "'layout' is a required property") if placed else None
    return check_model("v1.WidgetLayout", widget["layout"], "layout")


def _problem_of_definition(definition: dict[str, Any]) -> str | None:
    if definition.get("type") != "group":
        problem = check_model("v1.WidgetDefinition", definition, "definition")
        return problem.text if problem else None
    inner = definition.get("widgets", [])
    for position, widget in enumerate(inner if isinstance(inner, list) else []):
        found = widget.get("definition") if isinstance(widget, dict) else None
        if not isinstance(found, dict):
            told = "'definition' is a required property"
            return f"Invalid inner widget at position {position}. Error: {told}"
        text = _problem_of_definition(found)
        if text:
            kind = found.get("type")
            where = f"Invalid inner widget definition at position {position} of type {kind}"
            return f"{where}. Error: {text}"
    problem = find_problem(["#v1.GroupWidgetDefinition"], definition, "definition")
    return problem.text if problem else None


def with_widget_ids(widgets: list[dict[str, Any]], dice: Dice) -> list[dict[str, Any]]:
    """The widgets, those within groups too, each with an id: the one that it had, or a new one."""
    return [_with_id(widget, dice) for widget in widgets]


def _with_id(widget: dict[str, Any], dice: Dice) -> dict[str, Any]:
    definition = widget["definition"]
    if definition.get("type") == "group":
        inner = with_widget_ids(definition.get("widgets", []), dice)
        definition = {**definition, "widgets": inner}
    kept = widget.get("id")
    number = kept if isinstance(kept, int) and not isinstance(kept, bool) else dice.widget_id()
    return {**widget, "definition": definition, "id": number}


def with_tab_ids(
    tabs: list[dict[str, Any]], widgets: list[dict[str, Any]], dice: Dice
) -> list[dict[str, Any]]:
    """The tabs, each with an id; `@2` stands for the second widget and becomes its id."""

    def number(told: Any) -> Any:
        match = _POSITION.fullmatch(told) if isinstance(told, str) else None
        if match is None:
            return told
        place = int(match[1]) - 1
        if place >= len(widgets):
            refuse(f"'tabs' is invalid: there is no widget {told}")
        return widgets[place]["id"]

    return [
        {
            **tab,
            "id": tab.get("id") or dice.uuid(),
            "widget_ids": [number(one) for one in tab.get("widget_ids", [])],
        }
        for tab in _objects(tabs, "tabs")
    ]
