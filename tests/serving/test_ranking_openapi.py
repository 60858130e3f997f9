"""The ranking API over HTTP, met with requests that are made from its own OpenAPI document, good ones and bad ones."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from infra.settings.tokens import ApiToken

pytestmark = pytest.mark.tf

EXAMPLES = settings(max_examples=100, database=None, deadline=None, suppress_health_check=list(HealthCheck))


def operation(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json")["/v1/rank"]["POST"]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_any_request_gets_what_the_document_says(serve_api, store, mode):
    """Good ones 200, bad ones a 4xx, each with a body of the documented schema; a refusal names a field."""
    met = []
    with serve_api(store) as address:
        @EXAMPLES
        @given(operation(address).as_strategy(generation_mode=mode))
        def met_as_documented(case):
            response = case.call_and_validate()
            if response.status_code != 200:
                assert response.json()["field"]
                assert response.json()["error"]
            met.append(response.status_code)

        met_as_documented()
    assert set(met) == ({200} if mode is GenerationMode.POSITIVE else {400})


def test_without_its_token_no_request_is_answered(serve_api, store):
    with serve_api(store, tokens=[ApiToken("s3cret")]) as address:
        @EXAMPLES
        @given(operation(address).as_strategy())
        def refused(case):
            assert case.call_and_validate().status_code == 401

        refused()


def test_examples_of_the_document_are_of_its_schemas_and_of_the_kind_that_comes(serve_api, store):
    import requests
    from jsonschema import Draft202012Validator

    with serve_api(store) as address:
        document = requests.get(f"{address}/openapi.json", timeout=10).json()
        rank = document["paths"]["/v1/rank"]["post"]
        told = [rank["requestBody"], *rank["responses"].values()]
        for content in (part["content"]["application/json"] for part in told):
            schema = content["schema"] | {"components": document["components"]}
            Draft202012Validator(schema).validate(content["example"])
        asked, example = (part["content"]["application/json"]["example"] for part in (told[0], rank["responses"]["200"]))
        reply = requests.post(f"{address}/v1/rank", json=asked, timeout=10)
        assert reply.json().keys() == example.keys()
        assert reply.json()["items"][0].keys() == example["items"][0].keys()
