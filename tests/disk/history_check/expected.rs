//! The expected responses, from the state at their LSN.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use upline::engine::{
    Applied, Entry, EntryFilter, MemberDirectory, MemberId, MemberIx, Outcome, Rejection, State, Status, Tree,
};

use super::clients::{Answered, Ask};
use crate::{common::uuid, proof::FromNothing};

/// Maximum rows requested.
const BONUSES: usize = 20;

fn id(number: u64) -> MemberId {
    let mut bytes = [0; 16];
    bytes[6] = 0x40;
    bytes[8] = 0x80;
    bytes[10..].copy_from_slice(&number.to_be_bytes()[2..]);
    MemberId(bytes)
}

fn text(id: MemberId) -> String {
    uuid(u64::from_be_bytes(id.0[8..].try_into().expect("eight bytes")) & 0xffff_ffff_ffff)
}

/// A state at one LSN, as seen by clients.
struct Moment<'state> {
    state: &'state State,
    maps: &'state MemberDirectory,
    /// The command of this LSN, where one was applied.
    applied: Option<Applied>,
}

/// Applies all commands and compares every response along the way. Returns the number of writes, reads,
/// refusals and repeats compared.
pub fn check(answers: &[Answered], from: FromNothing) -> [u64; 4] {
    let FromNothing { commands, mut state, mut maps, opened: _opened } = from;
    let mut by_lsn: BTreeMap<u64, Vec<&Answered>> = BTreeMap::new();
    for answer in answers {
        by_lsn.entry(answer.lsn).or_default().push(answer);
    }
    let last = commands.last().expect("something was written").lsn;
    let newest = by_lsn.last_key_value().expect("something was answered").0;
    assert!(*newest <= last, "LSN {newest} was named, the log ends with {last}");
    let mut counts = [0; 4];
    for stamped in &commands {
        let applied = state.apply(&mut maps, stamped);
        let moment = Moment { state: &state, maps: &maps, applied: Some(applied) };
        let mut owners = 0;
        for answer in by_lsn.remove(&stamped.lsn).unwrap_or_default() {
            if let Err(expected) = moment.check(answer) {
                panic!("LSN {}: expected {expected}, answered was {answer:?}", stamped.lsn);
            }
            owners += u64::from(answer.is_write());
            let kind = match answer {
                Answered { is_repeat: true, .. } => 3,
                Answered { status: 400.., .. } => 2,
                answer => usize::from(!answer.is_write()),
            };
            counts[kind] += 1;
        }
        assert!(owners <= 1, "LSN {} was given to {owners} writes", stamped.lsn);
    }
    assert!(by_lsn.is_empty(), "answers that name an LSN before the first");
    counts
}

impl Moment<'_> {
    fn member(&self, number: u64) -> Option<MemberIx> {
        self.state.find(self.maps, &id(number))
    }

    fn check(&self, answer: &Answered) -> Result<(), Value> {
        if 400 <= answer.status {
            return self.check_refusal(answer);
        }
        let body = &answer.body;
        let expected = match &answer.ask {
            Ask::Register { member, .. } => return self.check_registered(*member, answer),
            Ask::Trigger { .. } => return self.check_paid_out(body),
            Ask::Pay { .. } => match self.applied.map(|applied| applied.outcome) {
                Some(Outcome::EntryPaid { entry, .. }) => return same(&short(body), &self.bonus(entry)),
                other => json!(format!("{other:?}")),
            },
            Ask::Status { is_active, .. } => match self.applied.map(|applied| applied.outcome) {
                Some(Outcome::StatusSet { changed, .. }) => {
                    let now = if *is_active { "active" } else { "inactive" };
                    return same(&body["status"], &json!({ "now": now, "changed": changed }));
                }
                other => json!(format!("{other:?}")),
            },
            Ask::Member { member } => self.whole(*member),
            Ask::Rank { member } => {
                let rank = self.state.rank(self.member(*member).ok_or("a member")?);
                let told = json!([body["paid_as"]["ordinal"], body["lifetime"]["ordinal"]]);
                return same(&told, &json!([rank.paid_as, rank.lifetime]));
            }
            Ask::Children { member } => {
                let above = self.member(*member).ok_or("a member")?;
                let children: Vec<Value> =
                    self.state.children(Tree::Placement, above).map(|child| self.row(child)).collect();
                return same(&rows(body), &json!(children));
            }
            Ask::Upline { member } => {
                let below = self.member(*member).ok_or("a member")?;
                let upline: Vec<Value> =
                    self.state.upline(Tree::Placement, below).map(|above| self.row(above)).collect();
                return same(&rows(body), &json!(upline));
            }
            Ask::Bonuses { member } => return self.check_bonuses(*member, body),
            Ask::Distribution => {
                let told: Vec<u64> = body["ranks"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .filter_map(|rank| rank["members"].as_u64())
                    .collect();
                let known = self.state.rank_distribution();
                let padded: Vec<u64> =
                    (0..told.len()).map(|rank| known.get(rank).copied().unwrap_or(0)).collect();
                return same(&json!(told), &json!(padded));
            }
        };
        same(body, &expected)
    }

    /// A refusal must be justified by this state.
    fn check_refusal(&self, answer: &Answered) -> Result<(), Value> {
        let code = answer.body["code"].as_str().expect("a code");
        let holds = match (&answer.ask, code) {
            (Ask::Register { member, .. }, "member_exists") => self.member(*member).is_some(),
            (Ask::Register { sponsor, .. }, "sponsor_not_active") => self
                .member(*sponsor)
                .is_some_and(|sponsor| self.state.member(sponsor).status != Status::Active),
            _ => false,
        };
        let logged = self
            .applied
            .is_some_and(|applied| matches!(applied.outcome, Outcome::Rejected(Rejection::MemberExists)));
        if holds || logged { Ok(()) } else { Err(json!("no refusal")) }
    }

    /// As just registered, regardless of later changes.
    fn check_registered(&self, member: u64, answer: &Answered) -> Result<(), Value> {
        let mut expected = self.whole(member);
        if answer.status == 201 {
            let index = self.member(member).ok_or("a member")?;
            match self.applied.map(|applied| applied.outcome) {
                Some(Outcome::Registered { member }) if member == index => {}
                other => return Err(json!(format!("{other:?}"))),
            }
            return same(&answer.body, &expected);
        }
        // An existing member: what never changes, and the initial values of the rest.
        for field in ["status", "rank", "placement", "sponsored"] {
            expected[field] = answer.body[field].clone();
        }
        same(&answer.body, &expected)
    }

    fn check_paid_out(&self, body: &Value) -> Result<(), Value> {
        let Some(Outcome::BonusPaid { first_entry, entries, withheld }) =
            self.applied.map(|applied| applied.outcome)
        else {
            return Err(json!(format!("{:?}", self.applied)));
        };
        let mut expected: Vec<Value> =
            (first_entry..first_entry + u64::from(entries)).map(|entry| self.bonus(entry)).collect();
        expected.iter_mut().for_each(|bonus| bonus["status"] = "pending".into());
        let told: Vec<Value> = body["bonuses"].as_array().expect("a list").iter().map(short).collect();
        same(&json!([told, body["withheld"]]), &json!([expected, withheld]))
    }

    fn check_bonuses(&self, member: u64, body: &Value) -> Result<(), Value> {
        let receiver = self.member(member).ok_or("a member")?;
        let entries =
            self.state.listed_entries(EntryFilter { receiver: Some(receiver), ..EntryFilter::default() });
        let expected: Vec<Value> = entries.take(BONUSES).map(|entry| self.bonus(entry)).collect();
        let told: Vec<Value> = body["items"].as_array().expect("a list").iter().map(short).collect();
        same(&json!(told), &json!(expected))
    }

    fn bonus(&self, index: u64) -> Value {
        let Entry { receiver, source, level, amount, status, .. } = self.state.entry(index);
        json!({
            "receiver": text(self.state.id(receiver)),
            "source": text(self.state.id(source)),
            "level": level,
            "minor": amount.0,
            "status": status.name(),
        })
    }

    fn row(&self, index: MemberIx) -> Value {
        let member = self.state.member(index);
        json!([
            text(member.id),
            member.status.name(),
            self.state.rank(index).paid_as,
            self.state.direct(Tree::Placement, index)
        ])
    }

    fn whole(&self, number: u64) -> Value {
        let Some(index) = self.member(number) else { return Value::Null };
        let (state, member) = (self.state, self.state.member(self.member(number).expect("it is there")));
        let user = |index: Option<MemberIx>| index.map(|index| text(state.id(index)));
        let counts =
            |tree| json!({ "direct": state.direct(tree, index), "downline": state.downline(tree, index) });
        json!({
            "user_id": text(member.id),
            "code": state.code(index).as_str(),
            "sponsor": user(member.sponsor),
            "parent": user(member.parent),
            "slot": member.slot,
            "level": member.level,
            "sponsor_level": member.sponsor_level,
            "joined_at": time(member.joined_at.0),
            "status": member.status.name(),
            "role": "member",
            "rank": state.rank(index).paid_as,
            "placement": counts(Tree::Placement),
            "sponsored": counts(Tree::Sponsor),
        })
    }
}

fn same(told: &Value, expected: &Value) -> Result<(), Value> {
    if told == expected { Ok(()) } else { Err(expected.clone()) }
}

/// Formats microseconds since 1970.
fn time(microseconds: i64) -> String {
    format!("{:.6}", jiff::Timestamp::from_microsecond(microseconds).expect("a time"))
}

fn short(bonus: &Value) -> Value {
    json!({
        "receiver": bonus["receiver"],
        "source": bonus["source"],
        "level": bonus["level"],
        "minor": bonus["amount"]["minor"],
        "status": bonus["status"],
    })
}

fn rows(body: &Value) -> Value {
    let items = body["items"].as_array().expect("a list");
    items.iter().map(|row| json!([row["user_id"], row["status"], row["rank"], row["direct"]])).collect()
}
