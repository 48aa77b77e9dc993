"""A typed client of upline's own API (`/v1`). Standard library only, Python 3.9 or later.

Copy it into your project.

Safe to retry by construction:

- A registration needs no key: repeating it with the same arguments gives the first answer.
- Every other write gets an `Idempotency-Key` when the method is called, and each retry of that call sends the
  same one. Give your own (an order's number, say) to make repeats of the call itself harmless, for as long as
  the server keeps keys: 72 hours.
- Retried are: connections that fail or break, 429, and 503. `Retry-After` is honored; without it the wait
  doubles. Everything else is raised as `Problem`, whose `code` is stable.

A client keeps no connection open between calls and may be shared by threads.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
import urllib.parse
import uuid
from dataclasses import dataclass, field
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Literal,
    Optional,
    Tuple,
    TypedDict,
    Union,
    cast,
)

Tree = Literal["placement", "sponsor"]
Json = Dict[str, Any]


class Counts(TypedDict):
    direct: int
    downline: Optional[int]


class Member(TypedDict):
    user_id: str
    code: str
    sponsor: Optional[str]
    parent: Optional[str]
    slot: int
    level: int
    sponsor_level: int
    joined_at: str
    status: Literal["active", "inactive", "terminated"]
    role: Literal["member", "admin"]
    rank: int
    placement: Counts
    sponsored: Counts


class MemberRow(TypedDict):
    user_id: str
    code: str
    depth: int
    above: Optional[str]
    slot: int
    joined_at: str
    status: Literal["active", "inactive", "terminated"]
    role: Literal["member", "admin"]
    rank: int
    direct: int


class Amount(TypedDict):
    """Minor units of a currency: cents, for an exponent of 2."""

    minor: int
    currency: str
    exponent: int


class Bonus(TypedDict):
    id: str
    receiver: str
    source: Optional[str]
    kind: str
    level: int
    amount: Amount
    status: Literal["pending", "paid"]
    time: str
    lsn: int
    plan_version: int
    reference: Optional[str]
    reverses: Optional[str]
    reversed_by: Optional[str]


class Paid(TypedDict):
    bonuses: List[Bonus]
    withheld: int


class Line(TypedDict, total=False):
    """The answer to one line of a batch: `problem` where it was refused."""

    line: int
    status: int
    lsn: Optional[int]
    user_id: str
    code: str
    parent: Optional[str]
    slot: int
    sponsor: Optional[str]
    problem: Optional[Json]


class Problem(Exception):
    """A failure as the server describes it (RFC 9457). Branch on `code`."""

    def __init__(self, status: int, body: Json) -> None:
        self.status = status
        self.code = str(body.get("code", "unknown"))
        self.body = body
        super().__init__(f"{status} {self.code}: {body.get('detail') or body.get('title') or ''}")


class Unreachable(Exception):
    """No answer, whatever was tried. A write may have been done: calling again with the same key is safe."""


@dataclass(frozen=True)
class Client:
    url: str = "http://127.0.0.1:8000"
    #: Id and secret of a service key.
    key: Optional[Tuple[str, str]] = None
    #: Gives a bearer token; asked for each request, so that it may be renewed.
    token: Optional[Callable[[], str]] = None
    #: Seconds without a byte until a connection counts as broken.
    timeout: float = 30.0
    #: Retries of one call.
    retries: int = 8
    #: The longest wait between two of them, in seconds.
    wait_max: float = 30.0
    _random: random.Random = field(default_factory=random.Random, repr=False, compare=False)

    # --- members

    def register(
        self,
        user_id: Union[str, uuid.UUID],
        *,
        sponsor: Optional[Union[str, uuid.UUID]] = None,
        sponsor_code: Optional[str] = None,
        rule: Optional[str] = None,
        slot: Optional[Tuple[Union[str, uuid.UUID], int]] = None,
        code: Optional[str] = None,
        role: Optional[Literal["member", "admin"]] = None,
        joined_at: Optional[str] = None,
    ) -> Member:
        """Registers a member, or gives the first answer again.

        Without a sponsor it is a new root; `slot` is (parent, number).
        """
        body = registration(
            user_id,
            sponsor=sponsor,
            sponsor_code=sponsor_code,
            rule=rule,
            slot=slot,
            code=code,
            role=role,
            joined_at=joined_at,
        )
        return cast(Member, self._call("POST", "/v1/members", body=body))

    def register_all(self, registrations: Iterable[Json]) -> Iterator[Line]:
        """Registers many over one connection, in order; yields an answer a line while they are sent.

        Make the lines with `registration`. When the connection breaks, `Unreachable` is raised: what was
        answered is durable, and sending the whole again is harmless.
        """
        connection = self._connect()
        failure: List[BaseException] = []

        def send() -> None:
            # In chunks, since nobody knows how many lines will come.
            try:
                for line in registrations:
                    data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
                    connection.send(b"%x\r\n%s\r\n" % (len(data), data))
                connection.send(b"0\r\n\r\n")
            except BaseException as error:  # noqa: BLE001 - handed to the thread that reads
                failure.append(error)

        try:
            connection.putrequest("POST", self._path("/v1/members/batch", {}))
            for name, value in self._headers("application/x-ndjson").items():
                connection.putheader(name, value)
            connection.putheader("Content-Type", "application/x-ndjson")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            answer = connection.getresponse()
            if answer.status != 200:
                raise self._problem(answer.status, answer.read())
            for text in answer:
                yield cast(Line, json.loads(text))
            sender.join()
            if failure:
                raise failure[0]
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the batch broke off: {error}") from error
        finally:
            connection.close()

    def member(self, user_id: Union[str, uuid.UUID]) -> Member:
        return cast(Member, self._call("GET", f"/v1/members/{user_id}"))

    def member_by_code(self, code: str) -> Member:
        return cast(Member, self._call("GET", f"/v1/members/by-code/{urllib.parse.quote(code, safe='')}"))

    def members(
        self,
        *,
        roots: bool = False,
        status: Optional[Literal["active", "inactive", "terminated"]] = None,
        role: Optional[Literal["member", "admin"]] = None,
        rank: Optional[int] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
        order: Literal["oldest", "newest"] = "oldest",
    ) -> Iterator[Member]:
        """All members of the network, or those that the arguments name, page by page.

        For those who see the whole network.
        """
        query = {
            "roots": "true" if roots else None,
            "status": status,
            "role": role,
            "rank": rank,
            "from": since,
            "to": until,
            "order": order,
        }
        return cast(Iterator[Member], self._pages("/v1/members", query))

    def change(
        self,
        user_id: Union[str, uuid.UUID],
        *,
        status: Optional[str] = None,
        role: Optional[str] = None,
        key: Optional[str] = None,
    ) -> Json:
        body = {name: value for name, value in (("status", status), ("role", role)) if value is not None}
        return self._call("PATCH", f"/v1/members/{user_id}", body=body, key=key or new_key())

    def upline(self, user_id: Union[str, uuid.UUID], tree: Tree = "placement") -> Iterator[MemberRow]:
        """Nearest first."""
        return cast(Iterator[MemberRow], self._pages(f"/v1/members/{user_id}/upline", {"tree": tree}))

    def downline(self, user_id: Union[str, uuid.UUID], tree: Tree = "placement") -> Iterator[MemberRow]:
        """Breadth first, as one stream.

        A stream that breaks cannot be resumed: use `downline_pages` for what must survive that.
        """
        return cast(Iterator[MemberRow], self._lines(f"/v1/members/{user_id}/downline", {"tree": tree}))

    def downline_pages(self, user_id: Union[str, uuid.UUID], tree: Tree = "placement") -> Iterator[MemberRow]:
        """Breadth first, page by page; each page is retried by itself."""
        return cast(Iterator[MemberRow], self._pages(f"/v1/members/{user_id}/downline", {"tree": tree}))

    def rank(self, user_id: Union[str, uuid.UUID]) -> Json:
        return self._call("GET", f"/v1/members/{user_id}/rank")

    # --- bonuses

    def trigger(
        self,
        source: Union[str, uuid.UUID],
        kind: str,
        *,
        minor: Optional[int] = None,
        currency: str = "USD",
        once: Optional[bool] = None,
        reference: Optional[str] = None,
        key: Optional[str] = None,
    ) -> Paid:
        """Pays the bonus that the plan has for `kind` to the uplines of `source`.

        `minor` is what percentages are taken of, `reference` what you call the order.
        """
        # `once` None: once for a referral, again for everything else.
        body: Json = {"source": str(source), "kind": kind, "once": once}
        if minor is not None:
            body["amount"] = {"minor": minor, "currency": currency}
        if reference is not None:
            body["reference"] = reference
        return cast(Paid, self._call("POST", "/v1/bonuses", body=body, key=key or new_key()))

    def bonuses(self, user_id: Union[str, uuid.UUID], status: Optional[str] = None) -> Iterator[Bonus]:
        """What a member received, newest first."""
        return cast(Iterator[Bonus], self._pages(f"/v1/members/{user_id}/bonuses", {"status": status}))

    def report(
        self,
        user_id: Union[str, uuid.UUID],
        since: Optional[str] = None,
        until: Optional[str] = None,
    ) -> Json:
        """Totals over a window of time; the last seven days unless given."""
        return self._call("GET", f"/v1/members/{user_id}/report", {"from": since, "to": until})

    def pay(self, bonus_id: str, key: Optional[str] = None) -> Bonus:
        return cast(Bonus, self._call("POST", f"/v1/bonuses/{bonus_id}/pay", key=key or new_key()))

    def reverse(self, bonus_id: str, key: Optional[str] = None) -> Bonus:
        """Takes a bonus back, once: a pending one of the negative amount."""
        answer = self._call("POST", f"/v1/bonuses/{bonus_id}/reverse", key=key or new_key())
        return cast(Bonus, answer["reversal"])

    def hold(self, bonus_id: str, reason: str, key: Optional[str] = None) -> Bonus:
        """Keeps payouts from taking a bonus until it is released."""
        return self._change(bonus_id, "hold", reason, key)

    def release(self, bonus_id: str, reason: str, key: Optional[str] = None) -> Bonus:
        """Makes a held bonus pending again."""
        return self._change(bonus_id, "release", reason, key)

    def void(self, bonus_id: str, reason: str, key: Optional[str] = None) -> Bonus:
        """A pending or held bonus is never paid. This is final."""
        return self._change(bonus_id, "void", reason, key)

    def _change(self, bonus_id: str, change: str, reason: str, key: Optional[str]) -> Bonus:
        path = f"/v1/bonuses/{bonus_id}/{change}"
        return cast(Bonus, self._call("POST", path, body={"reason": reason}, key=key or new_key()))

    def pay_all(
        self,
        *,
        up_to: Optional[Union[int, str]] = None,
        kind: Optional[str] = None,
        receiver: Optional[Union[str, uuid.UUID]] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
        key: Optional[str] = None,
    ) -> Json:
        """Marks pending bonuses paid: all, or those that the arguments name.

        `up_to` is an LSN, that of the list which was looked at, or the id of a bonus, which means the LSN of
        the command that made it: nothing that was made or released later is paid.
        """
        query = {"up_to": up_to, "kind": kind, "receiver": receiver, "from": since, "to": until}
        named = {name: str(value) for name, value in query.items() if value is not None}
        return self._call("POST", "/v1/bonuses/pay-all", named, key=key or new_key())

    # --- the feed

    def events(self, since: int) -> Iterator[Json]:
        """Everything that happened from an LSN on, in order, for ever; goes on by itself after a break.

        At least once: remember the `lsn` of what you are done with and begin after it next time.
        """
        failures = 0
        while True:
            try:
                for event in self._lines("/v1/events", {"from": since}):
                    failures = 0
                    if "lsn" in event:
                        since = int(event["lsn"]) + 1
                        yield event
            except Unreachable:
                pass
            failures += 1
            if self.retries < failures:
                raise Unreachable("the feed cannot be reached")
            self._wait(failures, None)

    def audit(
        self,
        *,
        actor_kind: Optional[str] = None,
        actor_id: Optional[str] = None,
        kind: Optional[str] = None,
        since: Optional[str] = None,
        until: Optional[str] = None,
    ) -> Iterator[Json]:
        """Who wrote what, newest first, as far back as the log is retained.

        The `Problem` behind that has the status 410.
        """
        query = {"actor_kind": actor_kind, "actor_id": actor_id, "kind": kind, "from": since, "to": until}
        return self._pages("/v1/audit", query)

    # --- how it is done

    def _call(
        self,
        method: str,
        path: str,
        query: Optional[Json] = None,
        *,
        body: Optional[Json] = None,
        key: Optional[str] = None,
    ) -> Json:
        status, data = self._retry(method, path, query or {}, body, key)
        if 200 <= status < 300:
            return cast(Json, json.loads(data))
        raise self._problem(status, data)

    def _retry(
        self, method: str, path: str, query: Json, body: Optional[Json], key: Optional[str]
    ) -> Tuple[int, bytes]:
        reason: Optional[BaseException] = None
        for attempt in range(self.retries + 1):
            connection = self._connect()
            try:
                headers = self._headers("application/json")
                if key is not None:
                    headers["Idempotency-Key"] = key
                data = None
                if body is not None:
                    data = json.dumps(body).encode()
                    headers["Content-Type"] = "application/json"
                connection.request(method, self._path(path, query), body=data, headers=headers)
                answer = connection.getresponse()
                content = answer.read()
                if answer.status not in (429, 503) or attempt == self.retries:
                    return answer.status, content
                self._wait(attempt, answer.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                reason = error
                if attempt < self.retries:
                    self._wait(attempt, None)
            finally:
                connection.close()
        raise Unreachable(f"{method} {path}: {reason}") from reason

    def _wait(self, attempt: int, retry_after: Optional[str]) -> None:
        if retry_after is not None and retry_after.isdigit():
            seconds = float(retry_after)
        else:
            # Doubled each time, and spread, so that many clients do not come back at once.
            seconds = 0.1 * 2.0**attempt * (0.5 + self._random.random())
        time.sleep(min(seconds, self.wait_max))

    def _pages(self, path: str, query: Json) -> Iterator[Json]:
        cursor: Optional[str] = None
        while True:
            page = self._call("GET", path, {**query, "limit": 1000, "cursor": cursor})
            yield from page["items"]
            # A page may be short, or empty; `next` alone says whether there is more.
            cursor = page["next"]
            if cursor is None:
                return

    def _lines(self, path: str, query: Json) -> Iterator[Json]:
        connection = self._connect()
        try:
            connection.request("GET", self._path(path, query), headers=self._headers("application/x-ndjson"))
            answer = connection.getresponse()
            if answer.status != 200:
                raise self._problem(answer.status, answer.read())
            for line in answer:
                if line.strip():
                    yield cast(Json, json.loads(line))
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"GET {path}: {error}") from error
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "127.0.0.1", parts.port, timeout=self.timeout)

    def _path(self, path: str, query: Json) -> str:
        given = {name: value for name, value in query.items() if value is not None}
        base = urllib.parse.urlsplit(self.url).path.rstrip("/")
        return base + path + ("?" + urllib.parse.urlencode(given) if given else "")

    def _headers(self, accept: str) -> Dict[str, str]:
        headers = {"Accept": accept}
        if self.key is not None:
            headers["X-Api-Key"], headers["X-Api-Secret"] = self.key
        if self.token is not None:
            headers["Authorization"] = "Bearer " + self.token()
        return headers

    @staticmethod
    def _problem(status: int, data: bytes) -> Problem:
        try:
            body = json.loads(data)
        except ValueError:
            body = {"title": data[:200].decode(errors="replace")}
        return Problem(status, body if isinstance(body, dict) else {})


def new_key() -> str:
    """A key for one write."""
    return str(uuid.uuid4())


def registration(
    user_id: Union[str, uuid.UUID],
    *,
    sponsor: Optional[Union[str, uuid.UUID]] = None,
    sponsor_code: Optional[str] = None,
    rule: Optional[str] = None,
    slot: Optional[Tuple[Union[str, uuid.UUID], int]] = None,
    code: Optional[str] = None,
    role: Optional[Literal["member", "admin"]] = None,
    joined_at: Optional[str] = None,
) -> Json:
    """The body of a registration: what `register` sends and `register_all` takes."""
    body: Json = {"user_id": str(user_id)}
    if sponsor is not None:
        body["sponsor"] = {"user_id": str(sponsor)}
    elif sponsor_code is not None:
        body["sponsor"] = {"code": sponsor_code}
    if slot is not None:
        body["placement"] = {"parent": str(slot[0]), "slot": slot[1]}
    elif rule is not None:
        body["placement"] = {"rule": rule}
    for name, value in (("code", code), ("role", role), ("joined_at", joined_at)):
        if value is not None:
            body[name] = value
    return body
