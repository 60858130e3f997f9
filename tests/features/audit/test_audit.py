"""The audit of a shop without a fault, and of the same with one planted: it is found, and named by feature, cause and row."""

import json

import pytest

from features.audit import __main__ as command
from features.audit.report import percent
from features.clock import MS_PER_DAY, to_ms
from features.layout import Layout
from tests.features.audit.conftest import DELAY_MS, TICK_MS, counts_at

VALUES = 60 * 8


def of(done, feature):
    return next(verdict for verdict in done.verdicts if verdict.feature == feature)


def fresh(done, rows):
    return next(one for one in done.freshness if one.rows == rows)


def unequal(done):
    """{feature: causes} of every feature that is not equal throughout."""
    return {verdict.feature: verdict.causes for verdict in done.verdicts if verdict.causes}


def served_with_row(shop, enough=2):
    """(request, place) of candidates served with a row whose item had `enough` other rows before."""
    for request in shop.served:
        for place, tick in enumerate(request["maturity_tick_ms"]):
            before = [row for row in shop.rebuilt[request["item_ids"][place]] if row[0] < tick]
            if tick >= 0 and len(before) >= enough:
                yield request, place


def test_a_shop_without_a_fault_is_equal_throughout(shop):
    done = shop.audit()
    assert done.faults() == []
    assert (done.requests, done.item_rows) == (60, VALUES)
    per_candidate = ("exposure_7d", "click_7d", "online_days", "item_codes", "repeat_count", "repeat_age_days")
    assert {verdict.feature: (verdict.values, verdict.share) for verdict in done.verdicts} == {
        **dict.fromkeys(per_candidate, (VALUES, 1.0)),
        "history_codes": (sum(len(request["history_item_ids"]) for request in shop.served), 1.0),
        "history": (60, 1.0), "history_item_ids": (60, 1.0)}
    assert all(one.newest == one.values and one.late_s["p100"] == 0 for one in done.freshness)
    assert "every target holds: 100.00 % equal" in done.text()
    assert sum(len(request["taken_item_ids"]) for request in shop.served) > 2_000


def test_a_window_one_hour_too_long_is_found_and_named(shop):
    changed = 0
    for request in shop.served:
        for place, item in enumerate(request["item_ids"]):
            tick = request["maturity_tick_ms"][place]
            counted = counts_at(shop.first, item, tick, "impression", hours=169)
            changed += counted != request["exposure_7d"][place]
            request["exposure_7d"][place] = counted
    done = shop.audit()
    assert changed > 50
    assert set(unequal(done)) == {"exposure_7d"}
    verdict = of(done, "exposure_7d")
    assert verdict.values - verdict.equal == sum(verdict.causes.values()) == changed
    assert verdict.causes["value"] > changed / 2
    assert verdict.notes == [
        f"{min(changed, 200)} of {min(changed, 200)} differing rows looked at are counts of a window one hour longer"]
    assert done.faults()[0].startswith(f"exposure_7d {percent(1 - changed / VALUES)} equal (")
    assert "a window one hour longer" in done.text()


def test_repeated_events_that_were_counted_twice_are_named(shop):
    for request in shop.served:
        for place, item in enumerate(request["item_ids"]):
            request["click_7d"][place] = counts_at(shop.events, item, request["maturity_tick_ms"][place], "click")
    done = shop.audit()
    assert set(unequal(done)) == {"click_7d"}
    assert "repeated event ids counted again" in of(done, "click_7d").notes[0]


def test_a_stale_value_under_the_name_of_a_newer_row_is_late(shop):
    request, place = next(served_with_row(shop))
    item = request["item_ids"][place]
    (_, exposure, click), before = shop.readable(item, to_ms(request["served_at"]))
    request["exposure_7d"][place], request["click_7d"][place] = before[1], before[2]
    done = shop.audit()
    changed = [name for name, old, new in (("exposure_7d", exposure, before[1]), ("click_7d", click, before[2])) if old != new]
    assert unequal(done) == {name: {"late": 1} for name in changed}
    sample = of(done, changed[0]).samples[0]
    assert (sample["request_id"], sample["key"]) == (request["request_id"], item)
    assert f"request {request['request_id']}, {item} at " in done.text()


def test_a_stale_row_under_its_own_name_is_equal_and_not_in_time(shop):
    request, place = next((request, place) for request, place in served_with_row(shop)
                          if to_ms(request["served_at"]) - DELAY_MS - request["maturity_tick_ms"][place] > 60_000)
    item, at_ms = request["item_ids"][place], to_ms(request["served_at"])
    newest, before = shop.readable(item, at_ms)
    request["maturity_tick_ms"][place], request["exposure_7d"][place], request["click_7d"][place] = before
    done = shop.audit()
    assert unequal(done) == {}
    late = fresh(done, "item maturity")
    assert (late.values - late.newest, late.later_than_allowed) == (1, 1)
    assert late.late_s["p100"] == (at_ms - DELAY_MS - newest[0]) / 1000
    assert (late.samples[0]["request_id"], late.samples[0]["key"]) == (request["request_id"], item)
    assert "item maturity 99.79 % in time (1 later than 60 s)" in done.faults()
    assert shop.audit(late_after_s=late.late_s["p100"]).faults() == []
    assert shop.audit(fresh_target=0.99).faults() == []


@pytest.mark.parametrize(("exposure", "tick"), [(0, -1), (5, -1)])
def test_a_default_in_place_of_a_row_or_of_another_value_is_found(shop, exposure, tick):
    request, place = next((request, place) for request, place in served_with_row(shop)
                          if request["exposure_7d"][place] not in (0, 5) and request["click_7d"][place] != 0)
    request["maturity_tick_ms"][place], request["exposure_7d"][place], request["click_7d"][place] = tick, exposure, 0
    done = shop.audit()
    assert unequal(done) == {"exposure_7d": {"default": 1}, "click_7d": {"default": 1}}
    assert of(done, "exposure_7d").samples[0]["request_id"] == request["request_id"]


def test_a_default_under_the_name_of_a_row_is_found(shop):
    request, place = next((request, place) for request, place in served_with_row(shop) if request["exposure_7d"][place]
                          and shop.readable(request["item_ids"][place], to_ms(request["served_at"]))[1][1] > 0)
    request["exposure_7d"][place] = request["click_7d"][place] = 0
    assert unequal(shop.audit())["exposure_7d"] == {"default": 1}


def test_a_tick_that_was_never_published_is_no_version_of_the_lake(shop):
    request, place = next(served_with_row(shop))
    request["maturity_tick_ms"][place] += TICK_MS // 2
    assert unequal(shop.audit()) == {"exposure_7d": {"version": 1}, "click_7d": {"version": 1}}


def test_counts_too_old_to_be_true_may_be_zero_where_nothing_else_was_known(shop):
    request, place = next(served_with_row(shop))
    request["defaults"][place] = "item_stats:stale_maturity"
    request["exposure_7d"][place] = request["click_7d"][place] = 0
    assert unequal(shop.audit())["exposure_7d"] == {"default": 1}, "there was a newer row"
    item = request["item_ids"][place]
    shop.served = [request | {name: [request[name][place]] for name in (
        "item_ids", "item_codes", "online_days", "exposure_7d", "click_7d", "maturity_tick_ms", "repeat_count",
        "repeat_age_days", "defaults")}]
    newest = shop.readable(item, to_ms(request["served_at"]))[0]
    shop.served[0] |= {"exposure_7d": [newest[1]], "click_7d": [newest[2]], "maturity_tick_ms": [newest[0]]}
    assert unequal(shop.audit()) == {}


@pytest.mark.parametrize(("planted", "cause"), [
    (lambda shop, item: shop.sids[item, "cb-2"], "version"), (lambda shop, item: [1, 2, 3, 4], "value"),
    (lambda shop, item: [-1] * 4, "default")])
def test_a_sid_of_another_codebook_a_wrong_one_and_a_missing_one_are_told_apart(shop, planted, cause):
    request = shop.served[3]
    place = next(n for n, codes in enumerate(request["item_codes"]) if codes[0] >= 0)
    item = request["item_ids"][place]
    request["item_codes"][place] = planted(shop, item)
    done = shop.audit()
    assert unequal(done) == {"item_codes": {cause: 1}}
    assert of(done, "item_codes").samples[0]["key"] == item


def test_a_sid_that_the_store_had_of_another_codebook_alone_is_a_version_fault(shop):
    request = shop.served[3]
    place = next(n for n, codes in enumerate(request["item_codes"]) if codes[0] >= 0)
    request["item_codes"][place], request["defaults"][place] = [-1] * 4, "item_codes:other_codebook"
    assert unequal(shop.audit()) == {"item_codes": {"version": 1}}


def test_a_model_that_reads_no_sids_is_not_judged_by_them(shop):
    for request in shop.served:
        request["codebook_version"] = None
        request["item_codes"] = [[-1] * 4] * 8
    done = shop.audit()
    assert of(done, "item_codes").values == of(done, "history_codes").values == 0
    assert done.faults() == []


def test_days_online_off_by_one_are_found(shop):
    shop.served[5]["online_days"][2] += 1
    done = shop.audit()
    assert unequal(done) == {"online_days": {"value": 1}}
    assert of(done, "online_days").largest_difference == 1


def drop_take(request, n):
    for name in ("taken_item_ids", "taken_at_ms"):
        del request[name][n]


def long_history(shop):
    return next(request for request in shop.served if len(request["taken_item_ids"]) > 50)


def test_a_take_that_is_missing_between_others_is_a_fault_of_the_list(shop):
    request = long_history(shop)
    item = request["taken_item_ids"][20]
    drop_take(request, 20)
    done = shop.audit()
    assert unequal(done)["history"] == {"value": 1}
    sample = of(done, "history").samples[0]
    assert sample["key"] == request["user_id"]
    assert f"1 of them alone ({item} of 2026-01-" in sample["offline"]


def test_a_take_that_is_in_no_log_is_a_fault_of_the_version(shop):
    long_history(shop)["taken_at_ms"][10] += 1
    assert unequal(shop.audit())["history"] == {"version": 1}


def test_a_user_served_as_unknown_who_had_taken_something_is_a_wrong_default(shop):
    request = long_history(shop)
    request |= {"history_version_ms": -1, "taken_item_ids": [], "taken_at_ms": [], "history_item_ids": [], "history_codes": []}
    request |= {"repeat_count": [0.0] * 8, "repeat_age_days": [-1.0] * 8}
    assert unequal(shop.audit()) == {"history": {"default": 1}}


def test_a_list_that_was_not_read_to_its_end_is_equal_and_late(shop):
    """The list of an earlier moment, served again half a day later."""
    request = long_history(shop)
    at_ms, number = to_ms(request["served_at"]) - MS_PER_DAY // 2, len(shop.served)
    shop.serve(number, request["user_id"], request["item_ids"], at_ms, "cb-1")
    earlier = shop.served.pop()
    assert len(earlier["taken_item_ids"]) < len(request["taken_item_ids"])
    request |= {name: earlier[name] for name in ("taken_item_ids", "taken_at_ms")}
    done = shop.audit()
    assert "history" not in unequal(done)
    late = fresh(done, "user histories")
    assert (late.later_than_allowed, late.samples[0]["key"]) == (1, request["user_id"])
    assert late.late_s["p100"] <= 12 * 3600


def test_a_history_and_repeats_that_do_not_follow_from_the_takes_are_found(shop):
    request = long_history(shop)
    request["history_item_ids"] = request["history_item_ids"][1:] + request["history_item_ids"][:1]
    request["history_codes"] = request["history_codes"][1:] + request["history_codes"][:1]
    request["repeat_count"][4] += 1
    done = shop.audit()
    assert unequal(done) == {"history_item_ids": {"value": 1}, "repeat_count": {"value": 1}}
    assert of(done, "repeat_count").samples[0]["key"] == request["item_ids"][4]


def test_the_command_writes_a_page_and_json_and_ends_by_what_it_found(shop, monkeypatch, capsys):
    monkeypatch.setenv("GATESID_HOME", str(shop.home))
    shop.audit()
    days = ["--from", "2026-01-09", "--as-of", "2026-01-11"]
    assert command.main(days) == 0
    folder = capsys.readouterr().out.strip()
    assert folder == str(Layout(shop.home).report("audit-2026-01-11"))
    shop.served[0]["exposure_7d"][0] += 1
    shop.audit()
    assert command.main(days) == 4
    assert "exposure_7d 99.79 % equal" in capsys.readouterr().err
    assert command.main([*days, "--target", "99"]) == 0
    found = json.loads((shop.home / "reports" / "audit-2026-01-11" / "audit.json").read_text())
    assert (found["ok"], found["item_rows"], found["reads"]["item_maturity_rebuilt"]) == (True, VALUES, 0)
    assert next(one for one in found["features"] if one["feature"] == "exposure_7d")["causes"] == {"value": 1}


def test_days_on_which_nothing_was_served_and_a_lake_without_the_log_are_refused(shop, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("GATESID_HOME", str(shop.home))
    shop.audit()
    assert command.main(["--as-of", "2026-01-05"]) == 4
    assert "is the ranking API up" in capsys.readouterr().err
    monkeypatch.setenv("GATESID_HOME", str(tmp_path))
    assert command.main(["--as-of", "2026-01-05"]) == 5
    assert "served_features" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--as-of", "x"], ["--as-of", "2026-01-05", "--from", "2026-01-05"]])
def test_days_that_are_none_are_refused(arguments):
    assert command.main(arguments) == 3


def test_all_but_one_in_a_million_is_not_a_hundred_percent():
    assert [percent(share) for share in (1.0, 0.999_999, 0.5)] == ["100.00 %", "99.99 %", "50.00 %"]
