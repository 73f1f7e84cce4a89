"""The stand-in of the Data API answers as its documentation says, for a plain client too."""

import json
from typing import Any

import pytest

from miniyoutube.answers import Request
from miniyoutube.catalogue import Catalogue
from miniyoutube.data_api import DataApi
from tests.miniyoutube.catalogues import one_of_each


def ask(api: DataApi, method: str, key: str = "mine", **query: str) -> tuple[int, dict[str, Any]]:
    headers = {"x-goog-api-key": key}
    answer = api.answer(Request("", "www.googleapis.com", "GET", f"/youtube/v3/{method}", query, headers, {}))
    return answer.status, json.loads(answer.body)


@pytest.fixture
def catalogue() -> Catalogue:
    return one_of_each(("private", "only_480p", "age_gate", "non_english", "upcoming"))


def test_videos_have_the_parts_that_were_asked_for_and_those_gone_are_missing(catalogue: Catalogue) -> None:
    ids = {video.behaviour: video.video_id for video in catalogue.videos}
    _, answer = ask(DataApi(catalogue, {"mine": 5}), "videos", part="contentDetails", id=",".join(ids.values()))
    items = {item["id"]: item for item in answer["items"]}
    assert ids["private"] not in items
    assert answer["pageInfo"]["totalResults"] == len(items) == len(ids) - 1
    assert items[ids["only_480p"]]["contentDetails"]["definition"] == "sd"
    assert items[ids["age_gate"]]["contentDetails"]["contentRating"] == {"ytRating": "ytAgeRestricted"}
    assert items[ids["upcoming"]]["contentDetails"]["duration"] == "P0D"
    assert "snippet" not in items[ids["only_480p"]]


def test_each_request_costs_a_unit_also_a_refused_one(catalogue: Catalogue) -> None:
    api = DataApi(catalogue, {"mine": 2})
    assert ask(api, "videos", id=",".join(["a" * 11] * 51))[0] == 400
    assert ask(api, "videos", id="a" * 11)[0] == 200
    status, answer = ask(api, "videos", id="a" * 11)
    assert (status, answer["error"]["errors"][0]["reason"]) == (403, "quotaExceeded")
    assert ask(api, "videos", key="another", id="a" * 11)[0] == 400


def test_a_list_goes_on_where_its_token_says(catalogue: Catalogue) -> None:
    api, channel = DataApi(catalogue, {"mine": 99}), catalogue.videos[1].channel
    _, found = ask(api, "channels", part="contentDetails", forHandle=channel.handle)
    uploads = found["items"][0]["contentDetails"]["relatedPlaylists"]["uploads"]
    token, listed = "", []
    for _ in catalogue.uploads[channel.channel_id]:
        _, page = ask(api, "playlistItems", part="contentDetails", playlistId=uploads, maxResults="1", pageToken=token)
        listed += [item["contentDetails"]["videoId"] for item in page["items"]]
        token = page.get("nextPageToken", "")
    assert listed == [video.video_id for video in catalogue.uploads[channel.channel_id]]
    assert token == ""
    assert "items" not in ask(api, "channels", part="contentDetails", id="UCnone")[1]
