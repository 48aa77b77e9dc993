//! A network with calendars behind the router of `/v1`, and what tests of orders ask of it.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use serde_json::{Value, json};
use upline_judge::Judge;
use uuid::Uuid;

use super::super::reads_tests::network::{Answer, Network};
use crate::{
    access::{Role, Scope, Scopes},
    config::RateConfig,
    engine::{
        Actor, ActorKind, Code, Command, MemberId, OpenPeriod, OrderId, Origin, PeriodRef, PlacementRequest,
        Plan, Register, Rejection, Role as MemberRole, SponsorRef, Timestamp,
        calendar::{Calendar, Every, Grace, Late, Weekday},
        commerce::{Commerce, Rounding, Volume, VolumeForm, VolumeOf},
        system_time,
    },
    http::auth::{Costs, Principal},
    metrics::Metrics,
};

const DAY: i64 = 24 * 3_600 * 1_000_000;

/// Two calendars, three volumes, names of everything. The amount and `pv` are live; `cv` is 80% of `pv`.
pub fn plan() -> Plan {
    let calendar = |name: &str, every, late| Calendar {
        name: name.into(),
        every,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late,
        first: None,
        four_eyes: name == "week",
    };
    let volume = |name: &str, exponent, form, live| Volume { name: name.into(), exponent, form, live };
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let percent = VolumeForm::Percent { of: VolumeOf::Volume(0), rate: crate::engine::BasisPoints(8_000) };
    let mut plan = crate::plan_file::default_plan();
    plan.placement.width = Some(3);
    plan.count_sponsor_tree = true;
    plan.commerce = Commerce {
        calendars: vec![
            calendar("month", Every::Month, Late::Book),
            calendar("week", Every::Week { begins: Weekday::Monday }, Late::Refuse),
        ],
        volumes: vec![
            volume("pv", 2, VolumeForm::Given, true),
            volume("cv", 1, percent, false),
            volume("points", 0, VolumeForm::Given, false),
        ],
        amount_live: true,
        live_levels: 3,
        order_kinds: names(&["retail", "signup"]),
        order_tags: names(&["autoship", "party"]),
        markets: names(&["us", "de"]),
        has_owners: false,
        member_tags: Vec::new(),
        rounding: Rounding::HalfAway,
        refund_lowers_volume: Some(true),
    };
    plan
}

/// The network of a shop: members in a chain and below it, a past period and the current one of each
/// calendar.
pub struct Shop(pub Network);

pub fn id(number: u8) -> Uuid {
    Uuid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + u128::from(number))
}

/// An order of one line, whose member and content tests change.
pub fn order(order_id: &str, member: u8) -> Value {
    json!({
        "order_id": order_id, "user_id": id(member), "kind": "retail",
        "lines": [{ "amount": "12.50", "volumes": { "pv": "10" } }],
    })
}

/// The same with other fields.
pub fn with(mut value: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields are an object") };
    value.as_object_mut().unwrap().extend(fields);
    value
}

pub fn admin() -> Principal {
    Principal::anonymous()
}

pub fn named_admin(name: &str) -> Principal {
    Principal::new(Role::Admin, None, name, Scopes::NONE)
}

pub fn service(scopes: &[Scope]) -> Principal {
    Principal::new(Role::Service, None, "shop", scopes.iter().copied().collect())
}

pub fn member(number: u8) -> Principal {
    let subject = MemberId(id(number).into_bytes());
    Principal::new(Role::Member, Some(subject), "a member", Scopes::NONE)
}

/// Counts the cost of requests.
pub struct Meter {
    costs: Arc<Costs>,
    metrics: Arc<Metrics>,
}

impl Meter {
    pub fn new() -> Self {
        let metrics = Metrics::new(&[]);
        Self { costs: Costs::new(&RateConfig::default(), &metrics), metrics }
    }

    /// A service that reads, and pays.
    pub fn reads(&self) -> Principal {
        let scopes = [Scope::MembersRead, Scope::NetworkRead, Scope::BonusesRead];
        service(&scopes).paid_by(self.costs.payer("shop", Role::Service, None))
    }

    /// What was charged so far.
    pub fn units(&self) -> u64 {
        let told = self.metrics.render();
        let found = told.lines().find_map(|line| line.strip_prefix("upline_cost_units_total{of=\"other\"} "));
        found.map_or(0, |units| units.parse().unwrap())
    }
}

impl Shop {
    /// Members 1 to 6: 2 and 3 below 1, 4 below 2, 5 below 4; 6 is another root. Their codes are M1 to M6.
    /// Both calendars have periods `old`, which is over, and `new`.
    pub async fn new() -> Self {
        let shop = Self::closed().await;
        shop.open(0, "old", -60, -30).await;
        shop.open(0, "new", -30, 30).await;
        shop.open(1, "old", -10, -3).await;
        shop.open(1, "new", -3, 4).await;
        for calendar in 0..2 {
            shop.write(Command::ClosePeriod(PeriodRef { calendar, period: 0 })).await;
        }
        shop
    }

    /// The same without periods.
    pub async fn closed() -> Self {
        let shop = Self(Network::empty(1, plan()));
        for (number, sponsor) in
            [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2)), (5, Some(4)), (6, None)]
        {
            let joined = Timestamp(system_time().0 - 90 * DAY);
            shop.write(Command::Register(Register {
                member: MemberId(id(number).into_bytes()),
                sponsor: sponsor
                    .map_or(SponsorRef::None, |above| SponsorRef::Member(MemberId(id(above).into_bytes()))),
                placement: PlacementRequest::PlanDefault,
                code: Code::parse(&format!("M{number}")),
                role: MemberRole::Member,
                joined_at: Some(joined),
                origin: Origin::Signup,
            }))
            .await;
        }
        shop
    }

    /// Opens the next period of a calendar, from and to days from now.
    pub async fn open(&self, calendar: u8, label: &str, from: i64, to: i64) {
        self.open_until(calendar, label, [from, to, to]).await;
    }

    /// The same with a grace, which ends last.
    pub async fn open_until(&self, calendar: u8, label: &str, [from, to, grace]: [i64; 3]) {
        let at = |days: i64| Timestamp(Self::day(days));
        self.write(Command::OpenPeriod(OpenPeriod {
            calendar,
            label: OrderId::parse(label).unwrap(),
            start: at(from),
            end: at(to),
            grace_until: at(grace),
        }))
        .await;
    }

    /// The beginning of a day, counted from today.
    pub fn day(days: i64) -> i64 {
        (system_time().0 / DAY + days) * DAY
    }

    pub async fn write(&self, command: Command) {
        let sent = (Actor::new(ActorKind::System, ""), None);
        let done = self.0.engine.submit(command, sent).await.unwrap();
        let outcome = done.applied.outcome;
        assert!(!matches!(outcome, crate::engine::Outcome::Rejected(_)), "{outcome:?}");
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_as(admin(), path).await
    }

    /// The LSN of the newest command.
    pub fn lsn(&self) -> u64 {
        self.0.engine.read(|state, _| state.lsn())
    }

    /// Takes a period of the month through all steps.
    pub async fn posts(&self, period: &str) {
        let path = format!("/v1/calendars/month/periods/{period}");
        for (step, body) in
            [("lock", json!({})), ("runs", Value::Null), ("approve", json!({})), ("post", json!({}))]
        {
            let answer = self.post_as(named_admin("a"), &format!("{path}/{step}"), &[], &body).await;
            assert!(answer.status < 300, "{path}/{step}: {}", answer.text);
        }
    }

    pub async fn get_as(&self, principal: Principal, path: &str) -> Answer {
        let answer = self.0.ask(principal, path, "application/json").await;
        check("get", path, &answer);
        answer
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(admin(), path, &[], body).await
    }

    /// Posts a body; none if it is null.
    pub async fn post_as(
        &self,
        principal: Principal,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut all = headers.to_vec();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !text.is_empty() {
            all.push(("content-type", "application/json"));
        }
        let answer = self.0.send(principal, path, &all, text).await;
        check("post", path, &answer);
        answer
    }

    /// Places an order that must be new.
    pub async fn place(&self, body: &Value) -> Value {
        let answer = self.post("/v1/orders", body).await;
        assert_eq!(answer.status, 201, "{body}: {}", answer.text);
        answer.json()
    }
}

/// Status, code and field of a refusal.
pub fn told(answer: &Answer) -> (u16, String, String) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (answer.status, text("code"), text("field"))
}

/// Checks a refusal.
pub fn expect(answer: &Answer, expected: (u16, &str, &str), about: &str) {
    let (status, code, field) = told(answer);
    assert_eq!((status, code.as_str(), field.as_str()), expected, "{about}: {}", answer.text);
}

/// The status and code of a rejection.
pub fn rejected(answer: &Answer, rejection: Rejection, about: &str) {
    let (_, code, _) = told(answer);
    assert_eq!(code, rejection.name(), "{about}: {}", answer.text);
}

/// The description of this build, without room for fields that it does not name.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let mut description = crate::http::description();
    let schemas = description.pointer_mut("/components/schemas").unwrap();
    let mut waiting = vec![schemas];
    while let Some(value) = waiting.pop() {
        if let Value::Object(fields) = &mut *value
            && fields.get("type") == Some(&json!("object"))
            && fields.get("properties").is_some_and(Value::is_object)
        {
            fields.entry("additionalProperties").or_insert(false.into());
        }
        match value {
            Value::Object(fields) => waiting.extend(fields.values_mut()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    description
});

/// Checks a line of the change feed with its description.
pub fn check_event(event: &Value) {
    static JUDGE: LazyLock<Judge> = LazyLock::new(|| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": DESCRIPTION["components"],
            "$ref": "#/components/schemas/Event",
        });
        Judge::new(&whole).unwrap()
    });
    let errors = JUDGE.errors(event, 5);
    assert!(errors.is_empty(), "{errors:#?}\n{event}");
}

/// Checks an answer in JSON with its description.
fn check(method: &str, path: &str, answer: &Answer) {
    static JUDGES: LazyLock<Mutex<HashMap<String, Arc<Judge>>>> = LazyLock::new(Mutex::default);
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (theirs, ours): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        theirs.len() == ours.len()
            && theirs.iter().zip(&ours).all(|(theirs, ours)| theirs == ours || theirs.starts_with('{'))
    };
    let templates = DESCRIPTION["paths"].as_object().unwrap().keys();
    let template = templates.filter(|template| fits(template)).min_by_key(|name| name.matches('{').count());
    let template = template.unwrap_or_else(|| panic!("{path} is not described"));
    let kind = if answer.status < 300 { "application/json" } else { "application/problem+json" };
    let answers = &DESCRIPTION["paths"][template][method]["responses"];
    let schema = &answers[answer.status.to_string()]["content"][kind]["schema"];
    assert!(!schema.is_null(), "{method} {path} {} is not described: {}", answer.status, answer.text);
    let code = answer.json()["code"].as_str().map(str::to_owned);
    if let Some(code) = code.filter(|_| 300 <= answer.status) {
        let examples = &answers[answer.status.to_string()]["content"][kind]["examples"];
        assert!(examples[&code].is_object(), "{method} {path} is not described to answer {code}");
    }
    let key = format!("{method} {template} {}", answer.status);
    let judge = Arc::clone(JUDGES.lock().unwrap().entry(key).or_insert_with(|| {
        let whole = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": DESCRIPTION["components"],
            "allOf": [schema],
        });
        Arc::new(Judge::new(&whole).unwrap())
    }));
    let errors = judge.errors(&answer.json(), 5);
    assert!(errors.is_empty(), "{method} {path} {}: {errors:#?}\n{}", answer.status, answer.text);
}
