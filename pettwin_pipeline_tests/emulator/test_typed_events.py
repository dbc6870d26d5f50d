"""datadog-api-client drives events, webhooks and the check of keys; its answers parse whole."""

from datetime import timedelta

import pytest
from datadog_api_client.exceptions import ApiException, NotFoundException
from datadog_api_client.v1.api.authentication_api import AuthenticationApi
from datadog_api_client.v1.api.events_api import EventsApi as OldEventsApi
from datadog_api_client.v1.api.webhooks_integration_api import WebhooksIntegrationApi
from datadog_api_client.v1.model.event_create_request import EventCreateRequest
from datadog_api_client.v1.model.webhooks_integration import WebhooksIntegration
from datadog_api_client.v1.model.webhooks_integration_custom_variable import (
    WebhooksIntegrationCustomVariable,
)
from datadog_api_client.v1.model.webhooks_integration_custom_variable_update_request import (
    WebhooksIntegrationCustomVariableUpdateRequest,
)
from datadog_api_client.v1.model.webhooks_integration_update_request import (
    WebhooksIntegrationUpdateRequest,
)
from datadog_api_client.v2.api.events_api import EventsApi
from datadog_api_client.v2.model.alert_event_custom_attributes import AlertEventCustomAttributes
from datadog_api_client.v2.model.alert_event_custom_attributes_status import (
    AlertEventCustomAttributesStatus,
)
from datadog_api_client.v2.model.event_category import EventCategory
from datadog_api_client.v2.model.event_create_request import EventCreateRequest as NewEvent
from datadog_api_client.v2.model.event_create_request_payload import EventCreateRequestPayload
from datadog_api_client.v2.model.event_create_request_type import EventCreateRequestType
from datadog_api_client.v2.model.event_payload import EventPayload
from datadog_api_client.v2.model.event_payload_integration_id import EventPayloadIntegrationId
from datadog_api_client.v2.model.events_list_request import EventsListRequest
from datadog_api_client.v2.model.events_query_filter import EventsQueryFilter
from datadog_api_client.v2.model.events_request_page import EventsRequestPage

from pettwin_pipeline.emulator.server import LocalDatadog
from pettwin_pipeline_tests.emulator.typed_client import typed, whole


def search(query: str, limit: int = 10) -> EventsListRequest:
    told = EventsQueryFilter(query=query, _from="now-15m", to="now+1m")
    return EventsListRequest(filter=told, page=EventsRequestPage(limit=limit))


def test_an_event_is_posted_read_and_found(local: LocalDatadog) -> None:
    body = EventCreateRequest(title="Deployed 1.2", text="all is well", tags=["env:prod"], host="h")
    with typed(local) as client:
        old, api = OldEventsApi(client), EventsApi(client)
        made = whole(old.create_event(body=body)).event
        assert float(made.id) == float(made.id_str)
        assert whole(old.get_event(int(made.id_str))).event.title == "Deployed 1.2"
        now_s = int(local.state.clock.now_s())
        assert len(whole(old.list_events(now_s - 60, now_s + 60, tags="env:prod")).events) == 1
        assert whole(old.list_events(now_s - 60, now_s + 60, tags="env:dev")).events == []
        for query in ("deployed", "env:prod", "source:api AND host:h", "-env:dev", "title:Dep*"):
            found = whole(api.search_events(body=search(query))).data
            assert [one.attributes.message for one in found] == ["all is well"], query
        assert whole(api.search_events(body=search("env:dev OR rolled"))).data == []
        (only,) = whole(api.list_events(filter_query="env:prod", filter_to="now+1m")).data
        assert whole(api.get_event(only.id)).data.id == only.id


def test_an_alert_event_comes_in_by_the_second_version(local: LocalDatadog) -> None:
    attributes = EventPayload(
        title="Down",
        message="it is down",
        category=EventCategory.ALERT,
        integration_id=EventPayloadIntegrationId.CUSTOM_EVENTS,
        attributes=AlertEventCustomAttributes(status=AlertEventCustomAttributesStatus.ERROR),
        tags=["service:web"],
    )
    body = EventCreateRequestPayload(
        NewEvent(attributes=attributes, type=EventCreateRequestType.EVENT)
    )
    with typed(local) as client:
        api = EventsApi(client)
        made = whole(api.create_event(body=body))
        assert made.data.attributes.attributes.evt.id
        (found,) = whole(api.search_events(body=search("status:error service:web"))).data
        assert found.attributes.attributes.title == "Down"


def test_pages_of_events_go_on_while_new_ones_come_in(local: LocalDatadog) -> None:
    def post(number: int) -> None:
        OldEventsApi(client).create_event(body=EventCreateRequest(title=str(number), text="t"))
        local.state.clock.advance(1)

    with typed(local) as client:
        for number in range(5):
            post(number)
        seen = []
        for event in EventsApi(client).search_events_with_pagination(body=search("*", limit=2)):
            seen.append(event.attributes.attributes.title)
            if len(seen) == 1:
                post(5)
        assert seen == ["4", "3", "2", "1", "0"]


def test_an_event_of_yesterday_is_refused(local: LocalDatadog) -> None:
    happened = int((local.state.clock.now() - timedelta(hours=19)).timestamp())
    body = EventCreateRequest(title="late", text="t", date_happened=happened)
    with typed(local) as client, pytest.raises(ApiException, match="Event too far in the past"):
        OldEventsApi(client).create_event(body=body)


def test_a_webhook_is_kept_renamed_and_forgotten(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = WebhooksIntegrationApi(client)
        hook = WebhooksIntegration(name="pager", url="http://127.0.0.1:9/x")
        made = whole(api.create_webhooks_integration(body=hook))
        assert "$EVENT_TITLE" in made.payload
        with pytest.raises(ApiException, match="400"):
            api.create_webhooks_integration(body=hook)
        update = WebhooksIntegrationUpdateRequest(name="bell", payload="{}")
        assert whole(api.update_webhooks_integration("pager", body=update)).payload == "{}"
        assert whole(api.get_webhooks_integration("bell")).url == hook.url
        with pytest.raises(NotFoundException, match="Webhook does not exist"):
            api.get_webhooks_integration("pager")
        api.delete_webhooks_integration("bell")


def test_a_secret_variable_is_never_told_again(local: LocalDatadog) -> None:
    with typed(local) as client:
        api = WebhooksIntegrationApi(client)
        body = WebhooksIntegrationCustomVariable(name="TOKEN", value="hunter2", is_secret=True)
        whole(api.create_webhooks_integration_custom_variable(body=body))
        read = whole(api.get_webhooks_integration_custom_variable("TOKEN"))
        assert "hunter2" not in str(read)
        open_up = WebhooksIntegrationCustomVariableUpdateRequest(is_secret=False)
        with pytest.raises(ApiException):
            api.update_webhooks_integration_custom_variable("TOKEN", body=open_up)
        api.delete_webhooks_integration_custom_variable("TOKEN")
        with pytest.raises(NotFoundException, match="Custom variable does not exist"):
            api.get_webhooks_integration_custom_variable("TOKEN")


def test_any_key_is_good(local: LocalDatadog) -> None:
    with typed(local) as client:
        assert whole(AuthenticationApi(client).validate()).valid is True


def test_a_search_that_is_none_says_where(local: LocalDatadog) -> None:
    with typed(local) as client, pytest.raises(ApiException, match="Query parsing error: column 1"):
        EventsApi(client).search_events(body=search("(env:prod"))
