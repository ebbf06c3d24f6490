"""Channel health: what is counted, the judge, hiding and coming back over a real database and simulated channel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit import alarms, clock
from yimatong.kit.errors import DatabaseUnavailable, PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.cashier import queries as cashier
from yimatong.payments.channels.abilities import Agreeing, Presettling, TokenGiving
from yimatong.payments.channels.base import Part
from yimatong.payments.errors import AccountUnknown, BillNotReady, ChannelAlreadyPaid, ChannelBusy, ChannelRefused
from yimatong.payments.health import judging, queries, service
from yimatong.payments.health.judging import ASKED_MIN, PAUSE_FIRST_S, PAUSE_MOST_S, Mood, Seen, Standing, judge
from yimatong.payments.health.tally import Count, Outcome, Place, Tally
from yimatong.payments.health.watch import Watched

NOW = datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)
ACCOUNT = SimpleNamespace(account_id="acc-1")


class Plain:
    """A channel of our own making; ``says`` is raised or returned by every verb."""

    name = "plain"
    scenes = frozenset({"native"})
    extra = "more"

    def __init__(self, says: object = None) -> None:
        self.says = says

    async def query(self, _account, _payment, *, now):
        del now
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says

    start = close = refund = query_refund = query

    async def bill(self, account, day, *, kind, now):
        del kind
        return await self.query(account, day, now=now)

    def read_notice(self, _account, _headers, _body, *, now):
        return now

    def answer_notice(self, *, problem, status):
        return problem, status


class Insurer(Plain):
    part = Part.INSURANCE

    async def presettle(self, account, request, *, now):
        return await self.query(account, request, now=now)


class Wallet(Insurer):
    agreement_kinds = frozenset({"password_free"})
    agree = confirm_agreement = query_agreement = end_agreement = challenge = Plain.query

    async def give_token(self, account, *, agreement_no, nonce, expires_at, now):
        del agreement_no, nonce, expires_at
        return await self.query(account, None, now=now)

    async def check_token(self, account, *, token, nonce, now):
        del token, nonce
        return await self.query(account, None, now=now)


@pytest.mark.parametrize(
    ("channel", "able"),
    [(Plain(), set()), (Insurer(), {Presettling}), (Wallet(), {Presettling, Agreeing, TokenGiving})],
)
def test_a_watched_channel_has_the_abilities_of_what_it_wraps(channel, able):
    watched = Watched(channel, Tally())
    assert {kind for kind in (Presettling, Agreeing, TokenGiving) if isinstance(watched, kind)} == able
    assert isinstance(watched, Watched)
    assert (watched.name, watched.scenes, watched.extra) == ("plain", channel.scenes, "more")
    assert watched.read_notice(None, {}, b"", now=1) == 1
    with pytest.raises(AttributeError):
        _ = watched.nothing


@pytest.mark.parametrize(
    ("says", "outcome"),
    [
        ("fine", "ok"),
        (ChannelRefused(channel_code="X", channel_message="x"), "refused"),
        (ChannelAlreadyPaid(), "refused"),
        (BillNotReady(day="d"), "refused"),
        (PartyUnreachable(party="p"), "silent"),
        (PartyOutcomeUnknown(party="p"), "silent"),
        (ChannelBusy(), "silent"),
        (ValueError(), "silent"),
    ],
)
async def test_every_call_is_counted_by_what_became_of_it(says, outcome):
    tally = Tally()
    watched = Watched(Wallet(says), tally)
    calls = {
        "start": lambda: watched.start(ACCOUNT, None, now=NOW),
        "query": lambda: watched.query(ACCOUNT, None, now=NOW),
        "close": lambda: watched.close(ACCOUNT, None, now=NOW),
        "refund": lambda: watched.refund(ACCOUNT, None, now=NOW),
        "query_refund": lambda: watched.query_refund(ACCOUNT, None, now=NOW),
        "bill": lambda: watched.bill(ACCOUNT, None, now=NOW),
        "presettle": lambda: watched.presettle(ACCOUNT, None, now=NOW),
        "agree": lambda: watched.agree(ACCOUNT, None, now=NOW),
        "query_agreement": lambda: watched.query_agreement(ACCOUNT, None, now=NOW),
        "check_token": lambda: watched.check_token(ACCOUNT, token="t", nonce="n", now=NOW),
    }
    for call in calls.values():
        if isinstance(says, Exception):
            with pytest.raises(type(says)):
                await call()
        else:
            assert await call() in {"fine", None}
    counted = tally.take()
    assert {place.verb for place in counted} == set(calls)
    for place, count in counted.items():
        assert (place.account_id, place.channel, place.minute) == ("acc-1", "plain", NOW.replace(second=0))
        assert {name: getattr(count, name) for name in ("ok", "refused", "silent")} == {
            "ok": 0, "refused": 0, "silent": 0, outcome: 1,
        }  # fmt: skip


async def test_a_cancelled_call_counts_nothing():
    tally = Tally()
    with pytest.raises(asyncio.CancelledError):
        await Watched(Plain(asyncio.CancelledError()), tally).query(ACCOUNT, None, now=NOW)
    assert tally.take() == {}


seen = st.integers(0, 200).flatmap(lambda asked: st.builds(Seen, asked=st.just(asked), answered=st.integers(0, asked)))
steps = st.lists(st.tuples(seen, st.integers(1, 2000)), min_size=1, max_size=60)


@given(steps)
def test_the_judge_keeps_its_rules_whatever_is_seen(told):
    now, standing = NOW, judging.first(NOW)
    for what, later_s in told:
        now += timedelta(seconds=later_s)
        after = judge(standing, what, now=now)
        bad = 2 * what.answered < what.asked
        if standing.mood is Mood.WELL:
            assert (after.mood is Mood.SICK) == (bad and what.asked >= ASKED_MIN)
        elif standing.mood is Mood.SICK:
            assert after.mood is (Mood.TRYING if now >= standing.try_at else Mood.SICK)
        elif what.asked == 0:
            assert after == standing
        else:
            assert after.mood is (Mood.SICK if bad else Mood.WELL)
        if after != standing:
            assert after.since == now
        assert (after.try_at is not None) == (after.mood is Mood.SICK)
        if after.mood is Mood.SICK:
            assert PAUSE_FIRST_S <= after.pause_s <= PAUSE_MOST_S
            assert after.try_at == after.since + timedelta(seconds=after.pause_s)
        assert judge(after, Seen(asked=0, answered=0), now=now) == after
        standing = after


def test_the_pause_grows_while_it_fails_and_starts_anew_after_a_steady_time():
    now, silent, fine = NOW, Seen(asked=20, answered=0), Seen(asked=1, answered=1)
    standing, pauses = judge(Standing(mood=Mood.WELL, since=NOW), silent, now=now), []
    for _ in range(7):
        pauses.append(standing.pause_s)
        now = standing.try_at
        standing = judge(judge(standing, silent, now=now), silent, now=now)
    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    now = standing.try_at
    well = judge(judge(standing, silent, now=now), fine, now=now)
    assert well.mood is Mood.WELL
    assert judge(well, silent, now=now + timedelta(minutes=9)).pause_s == 900
    assert judge(well, silent, now=now + timedelta(minutes=10)).pause_s == 30


@pytest.mark.parametrize(
    ("mood", "pin", "hides"),
    [
        ("well", "", False),
        ("sick", "", True),
        ("trying", "", False),
        ("sick", "shown", False),
        ("well", "hidden", True),
    ],
)
def test_an_operators_word_counts_first(mood, pin, hides):
    assert judging.hidden(mood, pin) is hides


def spot(minute=NOW, verb="start", account_id="wechat-hospital-1"):
    return Place(account_id, queries.whole(minute), verb, "wechat")


async def test_flushes_of_many_processes_add_up_and_a_lost_database_loses_nothing(desk, database):
    tallies = [Tally() for _ in range(4)]
    for number, tally in enumerate(tallies):
        for _ in range(25):
            tally.count(
                channel="wechat", account_id="acc-sum", verb="query", outcome=Outcome.OK, took_ms=number, now=NOW
            )
    await asyncio.gather(*(service.flush(database, tally) for tally in tallies))
    async with database.read() as connection:
        found = await queries.minutes(connection, {"acc-sum"}, since=NOW)
    (minute,) = found["acc-sum"]
    assert (minute.ok, minute.ms_sum, minute.ms_max) == (100, 25 * 6, 3)
    away = type(database)("postgresql://nobody@127.0.0.1:9/none")
    tallies[0].put_back({spot(): Count(ok=1, ms_sum=5, ms_max=5)})
    with pytest.raises(DatabaseUnavailable):
        await service.flush(away, tallies[0])
    await away.close()
    tallies[0].put_back({spot(): Count(silent=1, ms_sum=1, ms_max=1)})
    assert tallies[0].take() == {spot(): Count(ok=1, silent=1, ms_sum=6, ms_max=5)}
    assert await service.flush(desk.db, tallies[0]) == 0


@pytest.fixture
def watched(desk):
    """The desk with its channel watched, and the tally."""
    tally = Tally()
    return SimpleNamespace(
        desk=SimpleNamespace(db=desk.db, vault=desk.vault, channel=lambda name: Watched(desk.channels[name], tally)),
        tally=tally,
    )


async def count(watched, *, silent, ok=0, now, account_id="wechat-hospital-1"):
    counts = {spot(now, account_id=account_id): Count(ok=ok, silent=silent, ms_sum=1, ms_max=1)}
    watched.tally.put_back(counts)
    await service.flush(watched.desk.db, watched.tally)


async def stand(desk, account_id="wechat-hospital-1", now=None):
    async with desk.db.read() as connection:
        found = await queries.of(connection, scope=PLATFORM, now=now or clock.now())
    return next(each for each in found.accounts if each.account_id == account_id)


async def hidden(desk, hospital="hospital-1"):
    async with desk.db.read() as connection:
        return await queries.hidden(connection, hospital)


async def test_a_sick_channel_is_hidden_with_an_alarm_asked_again_and_shown_when_it_answers(desk, watched, place):
    order_no = await place()
    now = clock.now()
    await count(watched, silent=9, now=now)
    assert await service.judge_all(watched.desk, now=now) == 0
    await count(watched, silent=1, now=now)
    assert await service.judge_all(watched.desk, now=now) == 1
    assert await hidden(desk) == {"wechat"}
    assert await hidden(desk, "hospital-2") == frozenset()
    async with desk.db.read() as connection:
        view = await cashier.view(connection, desk, order_no, scope=PLATFORM)
        raised = [each for each in await alarms.alarms(connection) if each.kind == service.ALARM]
    assert view.channels == []
    assert [each.troubled for each in view.offers if each.channel == "wechat"] == [True]
    assert [(each.subject, each.count) for each in raised] == [("wechat-hospital-1", 1)]
    assert await service.judge_all(watched.desk, now=now + timedelta(seconds=29)) == 0
    later = now + timedelta(seconds=30)
    assert await service.judge_all(watched.desk, now=later) == 1
    assert (await stand(desk, now=later)).mood == "trying"
    await count(watched, silent=1, now=later)
    again = later + timedelta(seconds=5)
    assert await service.judge_all(watched.desk, now=again) == 1
    sick = await stand(desk, now=again)
    assert (sick.mood, sick.try_at) == ("sick", again + timedelta(seconds=60))
    better = again + timedelta(seconds=61)
    await service.judge_all(watched.desk, now=better)
    await count(watched, silent=0, ok=1, now=better)
    assert await service.judge_all(watched.desk, now=better + timedelta(seconds=1)) == 1
    assert (await stand(desk, now=better)).mood == "well"
    assert await hidden(desk) == frozenset()
    assert await service.judge_all(watched.desk, now=better + timedelta(seconds=2)) == 0


async def test_the_question_after_the_pause_is_about_a_real_attempt_and_is_counted(desk, watched, place):
    from yimatong.payments.cashier import service as starting
    from yimatong.payments.cashier.schemas import NewAttempt
    from yimatong.payments.channels.base import Scene

    order_no = await place(hospital=2)
    await starting.start_attempt(desk, order_no, NewAttempt(channel="wechat", scene=Scene.NATIVE), now=clock.now())
    now = clock.now()
    await count(watched, silent=10, now=now, account_id="wechat-hospital-2")
    await service.judge_all(watched.desk, now=now)
    later = now + timedelta(seconds=30)
    await service.judge_all(watched.desk, now=later)
    asked = watched.tally.take()
    assert [(each.verb, each.account_id, counts.ok) for each, counts in asked.items()] == [
        ("query", "wechat-hospital-2", 1)
    ]
    watched.tally.put_back(asked)
    await service.flush(desk.db, watched.tally)
    await service.judge_all(watched.desk, now=later + timedelta(seconds=1))
    assert (await stand(desk, "wechat-hospital-2", now=later)).mood == "well"


async def test_bills_do_not_make_a_channel_sick(desk, watched):
    now = clock.now() + timedelta(hours=2)
    watched.tally.put_back({spot(now, verb="bill"): Count(silent=50, ms_sum=1, ms_max=1)})
    await service.flush(desk.db, watched.tally)
    assert await service.judge_all(watched.desk, now=now) == 0


async def test_two_judges_at_once_change_an_account_once(desk, watched):
    now = clock.now() + timedelta(hours=3)
    await count(watched, silent=12, now=now)
    await asyncio.gather(*(service.judge_all(watched.desk, now=now) for _ in range(4)))
    async with desk.db.read() as connection:
        raised = [each for each in await alarms.alarms(connection) if each.kind == service.ALARM]
    assert {each.subject: each.count for each in raised}["wechat-hospital-1"] == 2
    assert (await stand(desk, now=now)).mood == "sick"


async def test_a_pin_counts_and_is_refused_for_a_foreign_account(desk):
    async def pin(word, scope=PLATFORM, account_id="wechat-hospital-2"):
        async with desk.db.transaction() as connection:
            await service.pin(connection, account_id, word, scope=scope, actor="op", request_id="r", now=clock.now())

    await pin("hidden")
    assert await hidden(desk, "hospital-2") == {"wechat"}
    await pin("")
    assert await hidden(desk, "hospital-2") == frozenset()
    for scope, account_id in ((Scope(institution_id="hospital-1"), "wechat-hospital-2"), (PLATFORM, "nobody")):
        with pytest.raises(AccountUnknown):
            await pin("hidden", scope=scope, account_id=account_id)


async def test_old_minutes_are_forgotten(desk, watched):
    now = clock.now() + timedelta(hours=4)
    await count(watched, silent=0, ok=3, now=now - timedelta(days=8))
    await service.judge_all(watched.desk, now=now)
    async with desk.db.read() as connection:
        found = await queries.minutes(connection, {"wechat-hospital-1"}, since=now - timedelta(days=9))
    assert all(each.minute >= now - service.KEPT for each in found.get("wechat-hospital-1", []))
    assert msgspec.json.encode(found)
