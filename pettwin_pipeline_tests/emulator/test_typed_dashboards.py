"""datadog-api-client drives dashboards, lists and shared dashboards; its answers parse whole."""

import pytest
from datadog_api_client.exceptions import NotFoundException
from datadog_api_client.v1.api.dashboard_lists_api import DashboardListsApi
from datadog_api_client.v1.api.dashboards_api import DashboardsApi
from datadog_api_client.v1.model.dashboard import Dashboard
from datadog_api_client.v1.model.dashboard_bulk_action_data import DashboardBulkActionData
from datadog_api_client.v1.model.dashboard_bulk_delete_request import DashboardBulkDeleteRequest
from datadog_api_client.v1.model.dashboard_invite_type import DashboardInviteType
from datadog_api_client.v1.model.dashboard_layout_type import DashboardLayoutType
from datadog_api_client.v1.model.dashboard_list import DashboardList
from datadog_api_client.v1.model.dashboard_resource_type import DashboardResourceType
from datadog_api_client.v1.model.dashboard_restore_request import DashboardRestoreRequest
from datadog_api_client.v1.model.dashboard_share_type import DashboardShareType
from datadog_api_client.v1.model.dashboard_type import DashboardType
from datadog_api_client.v1.model.group_widget_definition import GroupWidgetDefinition
from datadog_api_client.v1.model.group_widget_definition_type import GroupWidgetDefinitionType
from datadog_api_client.v1.model.note_widget_definition import NoteWidgetDefinition
from datadog_api_client.v1.model.note_widget_definition_type import NoteWidgetDefinitionType
from datadog_api_client.v1.model.shared_dashboard import SharedDashboard
from datadog_api_client.v1.model.shared_dashboard_invites import SharedDashboardInvites
from datadog_api_client.v1.model.shared_dashboard_invites_data_object import (
    SharedDashboardInvitesDataObject,
)
from datadog_api_client.v1.model.shared_dashboard_invites_data_object_attributes import (
    SharedDashboardInvitesDataObjectAttributes,
)
from datadog_api_client.v1.model.shared_dashboard_update_request import (
    SharedDashboardUpdateRequest,
)
from datadog_api_client.v1.model.timeseries_widget_definition import TimeseriesWidgetDefinition
from datadog_api_client.v1.model.timeseries_widget_definition_type import (
    TimeseriesWidgetDefinitionType,
)
from datadog_api_client.v1.model.timeseries_widget_request import TimeseriesWidgetRequest
from datadog_api_client.v1.model.widget import Widget
from datadog_api_client.v1.model.widget_layout_type import WidgetLayoutType
from datadog_api_client.v2.api.dashboard_lists_api import DashboardListsApi as DashboardListItemsApi
from datadog_api_client.v2.api.powerpack_api import PowerpackApi
from datadog_api_client.v2.model.dashboard_list_add_items_request import (
    DashboardListAddItemsRequest,
)
from datadog_api_client.v2.model.dashboard_list_item_request import DashboardListItemRequest
from datadog_api_client.v2.model.dashboard_type import DashboardType as ListedType
from datadog_api_client.v2.model.powerpack import Powerpack
from datadog_api_client.v2.model.powerpack_attributes import PowerpackAttributes
from datadog_api_client.v2.model.powerpack_data import PowerpackData
from datadog_api_client.v2.model.powerpack_group_widget import PowerpackGroupWidget
from datadog_api_client.v2.model.powerpack_group_widget_definition import (
    PowerpackGroupWidgetDefinition,
)
from datadog_api_client.v2.model.powerpack_inner_widgets import PowerpackInnerWidgets

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.typed_client import typed, whole

NOTE = Widget(NoteWidgetDefinition(content="hello", type=NoteWidgetDefinitionType.NOTE))
LINES = Widget(
    TimeseriesWidgetDefinition(
        requests=[TimeseriesWidgetRequest(q="avg:system.load.1{*}")],
        type=TimeseriesWidgetDefinitionType.TIMESERIES,
    )
)


def board(title: str = "one", *widgets: Widget) -> Dashboard:
    return Dashboard(
        title=title, layout_type=DashboardLayoutType.ORDERED, widgets=list(widgets or (LINES,))
    )


def test_a_dashboard_comes_back_as_it_was_sent_with_ids_everywhere(local: LocalDatadog) -> None:
    group = Widget(
        GroupWidgetDefinition(
            layout_type=WidgetLayoutType.ORDERED,
            type=GroupWidgetDefinitionType.GROUP,
            widgets=[NOTE],
        )
    )
    with typed(local) as client:
        api = DashboardsApi(client)
        made = whole(api.create_dashboard(body=board("one", LINES, group)))
        assert made.widgets[0].definition.to_dict() == LINES.definition.to_dict()
        assert made.widgets[1].definition.widgets[0].id > 0
        assert whole(api.get_dashboard(made.id)) == made
        changed = whole(api.update_dashboard(made.id, body=board("two")))
        assert changed.title == "two"
        assert changed.created_at == made.created_at
        assert changed.modified_at > made.modified_at
        assert [one.title for one in whole(api.list_dashboards()).dashboards] == ["two"]
        assert whole(api.delete_dashboard(made.id)).deleted_dashboard_id == made.id
        with pytest.raises(NotFoundException, match=f"Dashboard with ID {made.id} not found"):
            api.get_dashboard(made.id)


def test_deleted_dashboards_are_listed_apart_and_come_back(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = DashboardsApi(client)
        made = api.create_dashboard(body=board())
        data = [DashboardBulkActionData(id=made.id, type=DashboardResourceType.DASHBOARD)]
        api.delete_dashboards(body=DashboardBulkDeleteRequest(data=data))
        assert whole(api.list_dashboards()).dashboards == []
        gone = whole(api.list_dashboards(filter_deleted=True)).dashboards
        assert [one.id for one in gone] == [made.id]
        api.restore_dashboards(body=DashboardRestoreRequest(data=data))
        assert whole(api.get_dashboard(made.id)) == made


def test_pages_of_dashboards_follow_one_another(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = DashboardsApi(client)
        for number in range(5):
            api.create_dashboard(body=board(str(number)))
        found = [one.title for one in api.list_dashboards_with_pagination(count=2)]
        assert found == ["0", "1", "2", "3", "4"]


def test_a_shared_dashboard_is_opened_by_its_token_until_it_is_revoked(
    local: LocalDatadog,
) -> None:
    with typed(local) as client:
        api = DashboardsApi(client)
        made = api.create_dashboard(body=board())
        body = SharedDashboard(
            dashboard_id=made.id,
            dashboard_type=DashboardType.CUSTOM_TIMEBOARD,
            share_type=DashboardShareType.OPEN,
        )
        shared = whole(api.create_public_dashboard(body=body))
        assert shared.token in shared.public_url
        assert shared.public_url.startswith(local.address)
        assert whole(api.get_public_dashboard(shared.token)).title == "one"
        update = SharedDashboardUpdateRequest(global_time=None, share_list=["a@b.example"])
        changed = whole(api.update_public_dashboard(shared.token, body=update))
        assert changed.share_list == ["a@b.example"]
        assert [one.id for one in api.list_dashboards(filter_shared=True).dashboards] == [made.id]
        attributes = SharedDashboardInvitesDataObjectAttributes(email="a@b.example")
        kind = DashboardInviteType.PUBLIC_DASHBOARD_INVITATION
        data_object = SharedDashboardInvitesDataObject(attributes=attributes, type=kind)
        invite = SharedDashboardInvites(data=data_object)
        whole(api.send_public_dashboard_invitation(shared.token, body=invite))
        assert whole(api.get_public_dashboard_invitations(shared.token)).meta.page.total_count == 1
        api.delete_public_dashboard_invitation(shared.token, body=invite)
        assert whole(api.get_public_dashboard_invitations(shared.token)).meta.page.total_count == 0
        whole(api.delete_public_dashboard(shared.token))
        with pytest.raises(NotFoundException):
            api.get_public_dashboard(shared.token)


def test_a_list_holds_dashboards_and_counts_them(local: LocalDatadog) -> None:
    with typed(local) as client:
        lists, items = DashboardListsApi(client), DashboardListItemsApi(client)
        made = whole(lists.create_dashboard_list(body=DashboardList(name="mine")))
        one = DashboardsApi(client).create_dashboard(body=board())
        item = DashboardListItemRequest(id=one.id, type=ListedType.CUSTOM_TIMEBOARD)
        body = DashboardListAddItemsRequest(dashboards=[item])
        added = whole(items.create_dashboard_list_items(made.id, body=body))
        assert [told.id for told in added.added_dashboards_to_list] == [one.id]
        listed = whole(items.get_dashboard_list_items(made.id))
        assert [(told.title, told.url) for told in listed.dashboards] == [("one", one.url)]
        assert whole(lists.get_dashboard_list(made.id)).dashboard_count == 1
        renamed = whole(lists.update_dashboard_list(made.id, body=DashboardList(name="ours")))
        assert renamed.name == "ours"
        assert [told.name for told in whole(lists.list_dashboard_lists()).dashboard_lists] == [
            "ours"
        ]
        assert whole(lists.delete_dashboard_list(made.id)).deleted_dashboard_list_id == made.id
        with pytest.raises(NotFoundException, match="Manual Dashboard List with id"):
            lists.get_dashboard_list(made.id)


def test_a_powerpack_is_kept_with_ids_in_its_widgets(local: LocalDatadog) -> None:
    def pack(name: str) -> Powerpack:
        group = PowerpackGroupWidget(
            definition=PowerpackGroupWidgetDefinition(
                layout_type="ordered",
                type="group",
                widgets=[PowerpackInnerWidgets(definition={"type": "note", "content": "x"})],
            )
        )
        attributes = PowerpackAttributes(name=name, group_widget=group)
        return Powerpack(PowerpackData(type="powerpack", attributes=attributes))

    with typed(local) as client:
        api = PowerpackApi(client)
        made = whole(api.create_powerpack(body=pack("one"))).data
        assert made.attributes.group_widget.definition.widgets[0].id > 0
        assert whole(api.get_powerpack(made.id)).data.attributes.name == "one"
        assert whole(api.update_powerpack(made.id, body=pack("two"))).data.attributes.name == "two"
        found = whole(api.list_powerpacks(page_limit=1))
        assert [one.id for one in found.data] == [made.id]
        assert found.meta.pagination.total == 1
        api.delete_powerpack(made.id)
        with pytest.raises(NotFoundException, match="Powerpack not found"):
            api.get_powerpack(made.id)
