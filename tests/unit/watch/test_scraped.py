"""The readings from a metrics page: the catalogue's names, the first exporter's, and only real readings."""

from __future__ import annotations

from leakwarden.api.v1alpha1.signal import SignalType
from leakwarden.core.watch.scraped import MOST_SERIES, Sample, TrackKey, read


def sample(name: str, value: float, **labels: str) -> Sample:
    return Sample(name, labels, value)


def test_descriptors_come_with_their_limit_and_a_limit_that_is_none_is_left_out() -> None:
    page = [sample("process_open_fds", 40), sample("process_max_fds", 1024)]
    key = TrackKey(SignalType.DESCRIPTORS)
    assert (read(page, 1.0).values[key], read(page, 1.0).limits[key]) == (40, 1024)
    assert read([page[0], sample("process_max_fds", 2.0**63)], 1.0).limits == {}


def test_each_pool_is_a_series_of_its_own_with_its_own_maximum() -> None:
    page = [
        sample("go_sql_in_use_connections", 3, db_name="orders"),
        sample("go_sql_in_use_connections", 0, db_name="users"),
        sample("go_sql_max_open_connections", 10, db_name="orders"),
    ]
    found = read(page, 1.0)
    orders, users = (TrackKey(SignalType.DB_POOL, name) for name in ("orders", "users"))
    assert found.values == {orders: 3, users: 0}
    assert found.limits == {orders: 10}


def test_labels_that_choose_a_series_do_not_name_it() -> None:
    page = [
        sample("db_sql_connection_open", 7, status="inuse"),
        sample("db_sql_connection_open", 5, status="idle"),
        sample("db_sql_connection_max_open", 20),
    ]
    found = read(page, 1.0)
    assert found.values == {TrackKey(SignalType.DB_POOL): 7}
    assert found.limits == {TrackKey(SignalType.DB_POOL): 20}


def test_a_zero_of_what_a_living_process_always_has_is_no_reading() -> None:
    assert read([sample("go_goroutines", 0)], 1.0).values == {}


def test_requests_are_summed_over_all_codes_of_the_first_counter_that_is_there() -> None:
    page = [
        sample("http_request_duration_seconds_count", 99),
        sample("http_requests_total", 30, code="200"),
        sample("http_requests_total", 2, code="502"),
    ]
    assert read(page, 1.0).requests == 32
    assert read([], 1.0).requests is None


def test_series_without_end_are_cut_and_counted() -> None:
    page = [sample("go_sql_in_use_connections", 1, db_name=f"db{n:03}") for n in range(MOST_SERIES + 5)]
    found = read(page, 1.0)
    assert (len(found.values), found.left_out) == (MOST_SERIES, 5)
