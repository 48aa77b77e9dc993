"""Runs the queries of a page on sealed files, and compares sums with those in the file `expected`."""

import decimal
import os
import re
import sys

import duckdb

folder, page = sys.argv[1:]
with open(page, encoding="utf-8") as text:
    blocks = re.findall(r"^```sql\n(.*?)^```$", text.read(), re.MULTILINE | re.DOTALL)
assert 4 <= len(blocks), f"{len(blocks)} queries in {page}"

os.chdir(folder)
database = duckdb.connect()
for block in blocks:
    for query in filter(str.strip, block.split(";")):
        rows = database.execute(query).fetchall()
        if not query.lstrip().startswith("create"):
            assert rows, f"nothing is found by: {query}"


def one(query):
    """Returns the only value of a query, exactly."""
    [[value]] = database.execute(query).fetchall()
    return decimal.Decimal(value)


decimal.getcontext().prec = 60
found = {
    "orders": one("select count(distinct order_id) from lines"),
    "lines": one("select count(*) from lines"),
    "amount": one("select sum(amount) from lines").scaleb(2),
    "pv": one("select sum(pv) from lines").scaleb(2),
    "volume_time": one("select sum(volume_time) from lines"),
    "points-3": one('select sum("points-3") from lines').scaleb(8),
    "refunded": one("select sum(refunded) from lines").scaleb(9),
    "refunds": one("select sum(refunds) from lines where line = 0"),
    "times": one("select sum(epoch_us(time)) from lines where line = 0"),
    "tags": one("select sum(len(tags)) from lines where line = 0"),
}
shares = "select credit.member::varchar, sum(pv::decimal(18, 2) * credit.part) from credited group by all"
for member, sum_of_shares in database.execute(shares).fetchall():
    found[f"pv_of {member}"] = sum_of_shares.scaleb(11)

with open("expected", encoding="utf-8") as text:
    expected = dict(line.rsplit(" ", 1) for line in text.read().splitlines())
wrong = {
    name: f"{found.get(name)}, not {value}"
    for name, value in expected.items()
    if found.get(name, decimal.Decimal(0)) != decimal.Decimal(value)
}
assert not wrong, wrong

refunds = "read_parquet('orders/*/*.refunds.parquet', union_by_name = true)"
joined = f"{refunds} join lines using (order_id, seal)"
lines_of_refunds = one(f"select count(*) from {joined} where lines.line = 0")
assert lines_of_refunds == int(expected["refunds"]), lines_of_refunds
assert one("select count(*) from members") == 300
assert one("select count(*) from members where rank = 3") == 6
assert one("select count(*) from members where tags[1].tag = 'founder'") == 300
print(f"{len(blocks)} queries and {len(expected)} sums agree")
