"""A company's first day, against a running server: `python3 example.py http://127.0.0.1:8000`. The tests run
it on an empty network.

Set UPLINE_API_KEY and UPLINE_API_SECRET where the server asks for credentials.
"""

import itertools
import os
import sys
import uuid

from upline import Client, Problem, registration


def main(url: str) -> None:
    key = None
    if "UPLINE_API_KEY" in os.environ:
        key = (os.environ["UPLINE_API_KEY"], os.environ["UPLINE_API_SECRET"])
    client = Client(url, key=key)

    anna, bert = uuid.uuid4(), uuid.uuid4()
    root = client.register(anna, code=f"ANNA-{anna.hex[:8]}")
    first = client.register(bert, sponsor_code=root["code"])
    assert first["parent"] == str(anna), first
    # The same again is the same member, not a second one.
    assert client.register(bert, sponsor_code=root["code"])["user_id"] == str(bert)
    # Other arguments are told apart.
    try:
        client.register(bert)
        raise AssertionError("a root of the same id")
    except Problem as problem:
        assert problem.code == "member_exists", problem

    # Many at once, children after their sponsors.
    team = [uuid.uuid4() for _ in range(2_000)]
    lines = [registration(member, sponsor=anna if at < 10 else team[at // 2])
             for at, member in enumerate(team)]
    answers = list(client.register_all(lines))
    assert [answer["status"] for answer in answers] == [201] * len(team), answers[:3]
    again = list(client.register_all(lines))
    assert {answer["status"] for answer in again} == {200}, again[:3]

    streamed = [row["user_id"] for row in client.downline(anna)]
    paged = [row["user_id"] for row in client.downline_pages(anna)]
    assert streamed == paged and len(streamed) == 1 + len(team), (len(streamed), len(paged))
    upline = list(client.upline(team[-1]))
    assert upline[-1]["user_id"] == str(anna)

    newest_root = next(client.members(roots=True, order="newest"))
    assert newest_root["user_id"] == str(anna), newest_root
    assert newest_root["placement"]["downline"] == 1 + len(team), newest_root

    order = f"order-{uuid.uuid4()}"
    paid = client.trigger(bert, "purchase", minor=12_500, key=order)
    assert client.trigger(bert, "purchase", minor=12_500, key=order) == paid, "the same order pays once"
    bonus = paid["bonuses"][0]
    assert bonus["receiver"] == str(anna) and client.pay(bonus["id"])["status"] == "paid"
    assert [entry["id"] for entry in client.bonuses(anna)] == [bonus["id"]]
    assert client.report(anna)["total"]["minor"] == bonus["amount"]["minor"]

    events = list(itertools.islice(client.events(1), 20))
    lsns = [event["lsn"] for event in events]
    assert lsns == sorted(set(lsns)), lsns
    written = list(itertools.islice(client.audit(kind="trigger_bonus"), 1))
    assert written and written[0]["command"]["source"] == str(bert), written
    print(f"registered {len(team) + 2} members, paid {bonus['amount']['minor']} minor units, "
          f"read {len(events)} events")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
