"""Calls a server with what was generated from its description: `call.py URL FOLDER`, where FOLDER has the
package `pyclient` and the module `models`.
"""

import io
import itertools
import json
import sys
import uuid

sys.path.insert(0, sys.argv[2])

import models
from pyclient import Client
from pyclient.api.bonuses import trigger
from pyclient.api.lists import children, downline
from pyclient.api.members import batch, member, register
from pyclient.models import (
    AcceptedLine,
    LoggedCommand,
    Member,
    PageMemberRow,
    Problem,
    ProblemCode,
    RegisterCommand,
    Registration,
    RejectedLine,
    SponsorById,
    Trigger,
)
from pyclient.types import File


def main(client: Client) -> None:
    root, child = uuid.uuid4(), uuid.uuid4()

    made = register.sync(client=client, body=Registration(user_id=root, code="GEN-1"))
    assert isinstance(made, Member) and made.user_id == root and made.parent is None, made
    made = register.sync(client=client, body=Registration(user_id=child, sponsor=SponsorById(user_id=root)))
    assert isinstance(made, Member) and made.parent == root, made
    refused = register.sync(client=client, body=Registration(user_id=child))
    assert isinstance(refused, Problem) and refused.code == ProblemCode.MEMBER_EXISTS, refused
    assert member.sync(client=client, id=child) == made

    # Lines of JSON, good and bad ones.
    team = [uuid.uuid4() for _ in range(20)]
    lines = [Registration(user_id=one, sponsor=SponsorById(user_id=root)).to_dict() for one in team]
    lines.append(Registration(user_id=uuid.uuid4(), sponsor=SponsorById(user_id=uuid.uuid4())).to_dict())
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    # Its answers come line by line, which a generated function cannot say: its request, and the models of the
    # lines.
    with client.get_httpx_client().stream(**batch._get_kwargs(body=File(payload=io.BytesIO(body)))) as answer:
        answers = [json.loads(line) for line in answer.iter_lines()]
    accepted = [AcceptedLine.from_dict(line) for line in answers[:-1]]
    assert [line.user_id for line in accepted] == team, accepted
    rejected = RejectedLine.from_dict(answers[-1])
    assert rejected.problem.code == ProblemCode.SPONSOR_UNKNOWN, rejected
    for line in answers:
        models.LineAnswer.model_validate(line)

    first = children.sync(client=client, id=root, limit=2)
    assert isinstance(first, PageMemberRow) and len(first.items) == 2 and first.next_, first
    below, cursor = [], None
    while below == [] or cursor:
        page = downline.sync(client=client, id=root, limit=7, **({"cursor": cursor} if cursor else {}))
        assert isinstance(page, PageMemberRow), page
        below += [row.user_id for row in page.items]
        cursor = page.next_
    assert set(below) == {child, *team}, below

    paid = trigger.sync(client=client, body=Trigger(source=child, kind="referral"), idempotency_key="gen-1")
    assert paid == trigger.sync(client=client, body=Trigger(source=child, kind="referral"),
                                idempotency_key="gen-1"), paid

    # The feed has no end: its lines are read as they come, by the models of both.
    seen = []
    with client.get_httpx_client().stream("GET", "/v1/events", params={"from": 1}) as feed:
        for line in itertools.islice(feed.iter_lines(), 5_000):
            event = json.loads(line)
            models.Event.model_validate(event)
            seen.append(LoggedCommand.from_dict(event))
            command = seen[-1].command
            if isinstance(command, RegisterCommand) and command.user_id == team[-1]:
                break
    assert [event.lsn for event in seen] == list(range(1, len(seen) + 1)), seen[:3]
    assert seen[-1].effect.member.parent is not None
    print(f"called with what was generated: {len(answers)} lines, {len(below)} members, {len(seen)} events")


with Client(base_url=sys.argv[1]) as client:
    main(client)
