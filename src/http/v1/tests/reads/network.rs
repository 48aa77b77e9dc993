//! A random network behind the router of `/v1`, and the naive model of it.

use std::collections::BTreeSet;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request},
};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::Value;
use uuid::Uuid;

use super::super::Routes;
use crate::{
    access::{Role as Access, Scopes},
    config::HttpConfig,
    engine::{
        BonusRule, Code, Command, Engine, EngineOptions, Entry, EntryStatus, ImportEntry, LevelPay, MemberId,
        MemberIx, Money, Origin, PlacementRequest, Plan, PlanChoice, RankBasis, RankRule, RankStep, Register,
        Role, SUM_LEVELS_MAX, SnapshotPolicy, SponsorRef, Timestamp, Tree, TriggerBonus,
    },
    http::{
        Options,
        auth::{Gate, Principal},
        content::Content,
        context::Shared,
        reply::Reply,
        route_table::Work,
        routing,
    },
    metrics::Metrics,
};

/// A plan that exercises everything: both trees differ, signups pay along both, ranks have rewards.
pub fn plan() -> Plan {
    let rule = |trigger: &str, tree, on_registration| BonusRule {
        trigger: trigger.into(),
        tree,
        pay: LevelPay::Fixed([500, 300, 200].map(Money).to_vec()),
        on_registration,
        admins_beyond: true,
    };
    let step = |name: &str, minimum| RankStep { name: name.into(), minimum, reward: Some(Money(7_000)) };
    let mut plan = crate::plan_file::default_plan();
    plan.placement.width = Some(3);
    plan.placement.strategic = true;
    plan.count_sponsor_tree = true;
    plan.bonuses = vec![rule("sponsored", Tree::Sponsor, true), rule("placed", Tree::Placement, true)];
    plan.ranks = RankRule::Thresholds {
        tree: Tree::Sponsor,
        basis: RankBasis::Downline,
        steps: vec![step("Bronze", 2), step("Silver", 6)],
    };
    plan
}

/// An answer in full.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// An answer with its body.
    async fn of(reply: Reply) -> Self {
        let (parts, body) = reply.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Self { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The lines of a stream.
    pub fn lines(&self) -> Vec<Value> {
        assert_eq!(self.headers["content-type"], "application/x-ndjson", "{}", self.text);
        self.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A network behind the router.
pub struct Network {
    pub engine: Engine,
    pub random: Pcg64Mcg,
    routes: Routes,
    _dir: tempfile::TempDir,
}

impl Network {
    /// A forest of `members` in which sponsors, slots, codes, roles and bonuses are random.
    pub async fn new(seed: u64, members: u32) -> Self {
        println!("seed {seed}");
        let mut network = Self::empty(seed, plan());
        network.grow(members).await;
        network
    }

    /// A network of a plan, without members.
    pub fn empty(seed: u64, plan: Plan) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
        let mut options = EngineOptions::new(dir.path().join("data"), choice, Metrics::new(&[]));
        options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
        options.log.segment_bytes = 1 << 20;
        let (engine, _) = Engine::open(options).unwrap();
        let metrics = Metrics::new(&[]);
        let gate = Gate::off(&metrics);
        let shared =
            Shared::new(Options::new("127.0.0.1:0".parse().unwrap(), &HttpConfig::default()), metrics, gate);
        assert!(shared.engine.set(engine.clone()).is_ok());
        let random = Pcg64Mcg::seed_from_u64(seed);
        Self { engine, random, routes: Routes::new(shared), _dir: dir }
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        self.random.next_u32() % bound
    }

    pub fn len(&self) -> u32 {
        self.engine.read(|state, _| state.len())
    }

    /// Writes several commands at once; some may be rejected.
    pub async fn write(&self, commands: Vec<Command>) {
        for answer in join_all(commands.into_iter().map(|command| self.engine.submit(command, None))).await {
            answer.unwrap();
        }
    }

    /// Adds members and, occasionally, bonuses.
    pub async fn grow(&mut self, members: u32) {
        let target = self.len() + members;
        while self.len() < target {
            let there = self.len();
            // Members of one batch do not depend on each other: their sponsors already exist.
            let batch = (target - there).min(there.max(1)).min(64);
            let commands = (0..batch).map(|_| self.signup(there)).collect();
            self.write(commands).await;
            let count = if there == 0 { 0 } else { self.below(batch + 1) / 2 };
            let commands = (0..count).map(|_| self.bonus(there)).collect();
            self.write(commands).await;
        }
    }

    fn signup(&mut self, there: u32) -> Command {
        let mut id = [0; 16];
        self.random.fill_bytes(&mut id);
        let is_root = there == 0 || self.below(12) == 0;
        let recent = if self.below(2) == 0 { there.saturating_sub(6) } else { 0 };
        let sponsor = MemberIx(recent + self.below((there - recent).max(1)));
        let id_of = |index| self.engine.read(|state, _| state.member(index).id);
        let slot = (!is_root).then(|| PlacementRequest::Slot { parent: id_of(sponsor), slot: 0 });
        let sponsor = if is_root { SponsorRef::None } else { SponsorRef::Member(id_of(sponsor)) };
        let placement = match (slot, self.below(2)) {
            (Some(PlacementRequest::Slot { parent, .. }), 0) => {
                PlacementRequest::Slot { parent, slot: self.below(3) }
            }
            _ => PlacementRequest::PlanDefault,
        };
        let given = self.below(4) == 0;
        Command::Register(Register {
            member: MemberId(*uuid::Builder::from_random_bytes(id).as_uuid().as_bytes()),
            sponsor,
            placement,
            code: given.then(|| Code::parse(&format!("Code-{:x}", self.below(u32::MAX))).unwrap()),
            role: if self.below(40) == 0 { Role::Admin } else { Role::Member },
            joined_at: None,
            origin: Origin::Signup,
        })
    }

    fn bonus(&mut self, there: u32) -> Command {
        let (receiver, source) = (MemberIx(self.below(there)), MemberIx(self.below(there)));
        let [receiver, source] =
            [receiver, source].map(|index| self.engine.read(|state, _| state.member(index).id));
        match self.below(4) {
            0 => Command::ImportEntry(ImportEntry {
                receiver,
                source,
                level: match self.below(20) {
                    19 => SUM_LEVELS_MAX - 1 + self.below(4),
                    level => level,
                },
                amount: Money(i64::from(self.below(1_000_000))),
                kind: "old".into(),
                status: if self.below(2) == 0 { EntryStatus::Paid } else { EntryStatus::Pending },
                time: Timestamp(i64::from(self.below(1_000_000))),
                row_id: None,
                reference: None,
                reverses: None,
            }),
            1 => {
                let entries = self.engine.read(|state, _| state.entries());
                Command::PayEntry { entry: u64::from(self.below(u32::try_from(entries).unwrap().max(1))) }
            }
            _ => Command::TriggerBonus(TriggerBonus {
                source,
                trigger: "placed".into(),
                amount: None,
                once: false,
                reference: None,
            }),
        }
    }

    /// An answer whose body has not been read.
    pub async fn begin(&self, principal: Principal, path: &str, accept: &str) -> Reply {
        let mut request = Request::builder().uri(path).header("accept", accept).body(Body::empty()).unwrap();
        let found = routing::find(request.method(), request.uri().path());
        let asked = found.and_then(|found| found.route.access.asked());
        request.extensions_mut().insert(principal.asked_for(asked));
        self.routes.answer(request, found).await
    }

    /// Asks as a principal.
    pub async fn ask(&self, principal: Principal, path: &str, accept: &str) -> Answer {
        Answer::of(self.begin(principal, path, accept).await).await
    }

    /// Sends a body as a principal.
    pub async fn send(
        &self,
        principal: Principal,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let mut request = Request::builder().method("POST").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let found = routing::find(&Method::POST, path);
        let is_stream = found.is_some_and(|found| found.route.work == Work::StreamedBody);
        let (stream, whole) =
            if is_stream { (body.into(), Bytes::new()) } else { (Body::empty(), body.into()) };
        let mut request = request.body(stream).unwrap();
        request.extensions_mut().insert(Content(whole));
        let asked = found.and_then(|found| found.route.access.asked());
        request.extensions_mut().insert(principal.asked_for(asked));
        Answer::of(self.routes.answer(request, found).await).await
    }

    /// Asks as a principal that may do everything.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Principal::anonymous(), path, "application/json").await
    }

    pub async fn stream(&self, path: &str) -> Answer {
        self.ask(Principal::anonymous(), path, "application/x-ndjson").await
    }

    /// Reads a list page by page, with changes in between. `path` already has a query.
    pub async fn pages(&mut self, path: &str, limit: usize, grows: bool) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        let mut lsn = 0;
        for _ in 0..10_000 {
            let answer = self.get(&format!("{path}&limit={limit}{cursor}")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            let at: u64 = answer.headers["x-lsn"].to_str().unwrap().parse().unwrap();
            assert!(lsn <= at, "pages are of ascending LSNs");
            lsn = at;
            let mut page = answer.json();
            let Value::Array(rows) = page["items"].take() else { panic!("{path}: no items") };
            assert!(rows.len() <= limit, "{path}");
            items.extend(rows);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
            if grows {
                self.grow(2).await;
            }
        }
        panic!("{path} does not end");
    }

    /// The naive model of the current state.
    pub fn model(&self) -> Model {
        self.engine.read(|state, _| {
            let members = || (0..state.len()).map(MemberIx);
            let place = |tree| {
                members().map(move |member| {
                    let facts = state.member(member);
                    let above = if tree == Tree::Sponsor { facts.sponsor } else { facts.parent };
                    let order = if tree == Tree::Sponsor { member.0 } else { facts.slot };
                    above.map(|above| (above.0, order))
                })
            };
            Model {
                ids: members().map(|member| Uuid::from_bytes(state.member(member).id.0)).collect(),
                above: [Tree::Sponsor, Tree::Placement].map(|tree| place(tree).collect()),
                entries: (0..state.entries()).map(|index| state.entry(index)).collect(),
            }
        })
    }
}

/// Parents, order of children, and bonuses: nothing else.
pub struct Model {
    pub ids: Vec<Uuid>,
    /// By tree: the parent, and the position among its children.
    above: [Vec<Option<(u32, u32)>>; 2],
    pub entries: Vec<Entry>,
}

pub const TREES: [(Tree, &str); 2] = [(Tree::Sponsor, "sponsor"), (Tree::Placement, "placement")];

impl Model {
    pub fn above(&self, tree: Tree, member: u32) -> Option<u32> {
        self.above[tree as usize][member as usize].map(|(above, _)| above)
    }

    pub fn children(&self, tree: Tree, parent: u32) -> Vec<u32> {
        let places = self.above[tree as usize].iter().zip(0_u32..);
        let mut children: Vec<(u32, u32)> = places
            .filter_map(|(place, child)| {
                place.filter(|(above, _)| *above == parent).map(|(_, order)| (order, child))
            })
            .collect();
        children.sort_unstable();
        children.into_iter().map(|(_, child)| child).collect()
    }

    pub fn upline(&self, tree: Tree, member: u32) -> Vec<u32> {
        std::iter::successors(self.above(tree, member), |above| self.above(tree, *above)).collect()
    }

    /// Levels below a member, nearest first, each in tree order.
    pub fn levels(&self, tree: Tree, member: u32) -> Vec<Vec<u32>> {
        let mut levels = vec![vec![member]];
        while let Some(last) = levels.last().filter(|last| !last.is_empty()) {
            let next = last.iter().flat_map(|parent| self.children(tree, *parent)).collect();
            levels.push(next);
        }
        levels.pop();
        levels.remove(0);
        levels
    }

    /// Members that a member sees: itself and everybody below it in either tree.
    pub fn seen_by(&self, member: u32) -> BTreeSet<Uuid> {
        let below = TREES.into_iter().flat_map(|(tree, _)| self.levels(tree, member)).flatten();
        below.chain([member]).map(|seen| self.ids[seen as usize]).collect()
    }

    pub fn ids_of(&self, members: &[u32]) -> Vec<String> {
        members.iter().map(|member| self.ids[*member as usize].to_string()).collect()
    }

    /// Entries as lists show them: newest first, by time and then by LSN; those of one command by level, then
    /// in order of creation.
    pub fn entries_in_order(&self, keep: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.entries.iter().filter(|entry| keep(entry)).collect();
        entries.sort_by_key(|entry| (std::cmp::Reverse((entry.time, entry.lsn)), entry.level, entry.index));
        entries
    }
}

/// A principal with the role `member`.
pub fn member(id: Uuid) -> Principal {
    Principal::new(Access::Member, Some(MemberId(id.into_bytes())), "a member", Scopes::NONE)
}

/// A field of each item.
pub fn texts(items: &[Value], pointer: &str) -> Vec<String> {
    let text = |item: &Value| {
        item.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{pointer} in {item}"))
            .to_owned()
    };
    items.iter().map(text).collect()
}
