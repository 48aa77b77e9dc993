//! The one table of all routes. The edge, the gate, limits, metrics and the description read it; a route that
//! lacks its row here is refused, or fails the test below.

use super::auth::Action;

/// The operation of a drop-in route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Welcome,
    Health,
    Status,
    Register,
    RootUser,
    Downline,
    DownlineCount,
    AddTestData,
    Trigger,
    BonusesOf,
    Bonuses,
    MarkPaid,
    MarkAllPaid,
    EvaluateRank,
    Weekly,
}

impl Operation {
    /// Whether it takes an `Idempotency-Key`.
    pub fn is_keyed(self) -> bool {
        matches!(
            self,
            Operation::Register
                | Operation::RootUser
                | Operation::Trigger
                | Operation::MarkPaid
                | Operation::MarkAllPaid
        )
    }

    /// Whether it may change something. Two do so by GET.
    pub fn changes(self) -> bool {
        match self {
            Operation::Register
            | Operation::RootUser
            | Operation::AddTestData
            | Operation::Trigger
            | Operation::MarkPaid
            | Operation::MarkAllPaid
            | Operation::EvaluateRank => true,
            Operation::Welcome
            | Operation::Health
            | Operation::Status
            | Operation::Downline
            | Operation::DownlineCount
            | Operation::BonusesOf
            | Operation::Bonuses
            | Operation::Weekly => false,
        }
    }
}

/// Which API a route belongs to, and so what answers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Api {
    /// For operators, matched by axum's router under any method; all answer GET and HEAD.
    Ops,
    /// The API of the service that this one replaces.
    Dropin(Operation),
    /// Our own. Its handlers declare method and path as well, with the description of their input.
    V1,
}

/// Who may use a route. Where authorization is off, everybody may use all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Everybody, without credentials.
    Open,
    /// Everybody with credentials; where `docs_open` says so, without.
    Docs,
    /// Principals who may do this; where `metrics_open` says so, everybody.
    Metrics(Action),
    /// Principals who may do this, whatever the route is about.
    May(Action),
    /// Principals who may do this to the member that the path names.
    MayOfMember(Action),
    /// The handler asks about what it finds: for one of these actions and no other.
    Asks(&'static [Action]),
}

impl Access {
    /// The only actions that the handler may ask for; `None` where the edge asks before it.
    pub fn asked(self) -> Option<&'static [Action]> {
        match self {
            Access::Asks(actions) => Some(actions),
            _ => None,
        }
    }
}

/// How much of a request's time and data its route takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Bounded: body and answer are whole, or the answer is a stream that ends.
    Short,
    /// Grows with the network, so the time limit is longer.
    Long,
    /// Reads its own body, line by line, instead of having it read beforehand.
    StreamedBody,
    /// Its answer does not end by itself.
    Endless,
}

/// One route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    pub method: &'static str,
    /// With parameters in braces; in the drop-in at most one.
    pub path: &'static str,
    pub api: Api,
    pub access: Access,
    pub work: Work,
    /// Exempt from rate limits: a probe, which must be answered under any load.
    pub is_unlimited: bool,
    /// Answered on the connections reserved for operators when all others are busy.
    pub is_spare: bool,
    /// The files below the path belong to it.
    pub has_files: bool,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, api: Api, access: Access) -> Self {
        let work = Work::Short;
        Self { method, path, api, access, work, is_unlimited: false, is_spare: false, has_files: false }
    }

    const fn unlimited(self) -> Self {
        Self { is_unlimited: true, ..self }
    }

    const fn spare(self) -> Self {
        Self { is_spare: true, ..self }
    }

    const fn with_files(self) -> Self {
        Self { has_files: true, ..self }
    }

    const fn takes(self, work: Work) -> Self {
        Self { work, ..self }
    }

    /// Whether a path, as written in a request, is this route's; for routes without parameters.
    pub fn is_at(&self, path: &str) -> bool {
        self.path == path
            || self.has_files && path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with('/'))
    }
}

const fn ops(path: &'static str, access: Access) -> Route {
    Route::new("GET", path, Api::Ops, access)
}

const fn dropin(method: &'static str, path: &'static str, operation: Operation, access: Access) -> Route {
    Route::new(method, path, Api::Dropin(operation), access)
}

const fn v1(method: &'static str, path: &'static str, asks: &'static [Action]) -> Route {
    Route::new(method, path, Api::V1, Access::Asks(asks))
}

const OPS: usize = 7;
const DROPIN: usize = 19;
const V1: usize = 64;

/// All routes. Those of operators come first, then the drop-in's in matching order (the last four are those
/// named in the original's README), then our own in the order of the description.
pub static ROUTES: [Route; OPS + DROPIN + V1] = [
    ops("/livez", Access::Open).unlimited().spare(),
    ops("/readyz", Access::Open).unlimited().spare(),
    ops("/version", Access::Open),
    ops("/metrics", Access::Metrics(Action::ReadMetrics)).spare(),
    ops("/openapi.json", Access::Docs),
    ops("/docs", Access::Docs).with_files(),
    ops("/redoc", Access::Docs),
    dropin("GET", "/", Operation::Welcome, Access::Open),
    dropin("GET", "/health", Operation::Health, Access::Open),
    dropin("GET", "/status", Operation::Status, Access::Open),
    dropin("POST", "/user/register", Operation::Register, Access::May(Action::RegisterMember)),
    dropin("POST", "/user/root_user", Operation::RootUser, Access::May(Action::RegisterMember)),
    dropin("GET", "/user/downline/{user_id}", Operation::Downline, Access::MayOfMember(Action::ReadMember)),
    dropin(
        "GET",
        "/user/downline/{user_id}/count",
        Operation::DownlineCount,
        Access::MayOfMember(Action::ReadMember),
    ),
    dropin("GET", "/user/add_test_data", Operation::AddTestData, Access::May(Action::Operate)),
    dropin("POST", "/bonus/", Operation::Trigger, Access::May(Action::TriggerBonus)),
    dropin("GET", "/bonus/user/{user_id}", Operation::BonusesOf, Access::MayOfMember(Action::ReadBonuses)),
    dropin("GET", "/bonus/", Operation::Bonuses, Access::May(Action::ReadNetwork)),
    dropin("PATCH", "/bonus/{bonus_id}/mark-paid", Operation::MarkPaid, Access::May(Action::PayBonus)),
    dropin("GET", "/bonus/mark-paid/all", Operation::MarkAllPaid, Access::May(Action::PayBonus)),
    dropin(
        "POST",
        "/ranks/evaluate/{user_id}",
        Operation::EvaluateRank,
        Access::MayOfMember(Action::ReadMember),
    ),
    dropin("GET", "/reports/weekly/{user_id}", Operation::Weekly, Access::MayOfMember(Action::ReadBonuses)),
    dropin("POST", "/bonus/bonus", Operation::Trigger, Access::May(Action::TriggerBonus)),
    dropin(
        "GET",
        "/bonus/bonus/user/{user_id}",
        Operation::BonusesOf,
        Access::MayOfMember(Action::ReadBonuses),
    ),
    dropin("GET", "/bonus/bonus", Operation::Bonuses, Access::May(Action::ReadNetwork)),
    dropin("PATCH", "/bonus/bonus/{bonus_id}/mark-paid", Operation::MarkPaid, Access::May(Action::PayBonus)),
    v1("GET", "/v1/audit", &[Action::ReadAudit]),
    v1("GET", "/v1/bonuses", &[Action::ReadNetwork]),
    v1("POST", "/v1/bonuses", &[Action::TriggerBonus]),
    v1("POST", "/v1/bonuses/pay-all", &[Action::PayBonus]),
    v1("GET", "/v1/bonuses/{id}/explain", &[Action::ReadBonuses]),
    v1("POST", "/v1/bonuses/{id}/hold", &[Action::PayBonus]),
    v1("POST", "/v1/bonuses/{id}/pay", &[Action::PayBonus]),
    v1("POST", "/v1/bonuses/{id}/release", &[Action::PayBonus]),
    v1("POST", "/v1/bonuses/{id}/reverse", &[Action::PayBonus]),
    v1("POST", "/v1/bonuses/{id}/void", &[Action::PayBonus]),
    v1("GET", "/v1/calendars", &[Action::ReadPeriods]),
    v1("GET", "/v1/calendars/{name}/periods", &[Action::ReadPeriods]),
    v1("GET", "/v1/calendars/{name}/periods/{label}", &[Action::ReadPeriods]),
    v1("POST", "/v1/calendars/{name}/periods/{label}/approve", &[Action::StepPeriod]),
    v1("POST", "/v1/calendars/{name}/periods/{label}/lock", &[Action::StepPeriod]),
    v1("POST", "/v1/calendars/{name}/periods/{label}/post", &[Action::StepPeriod]),
    v1("GET", "/v1/calendars/{name}/periods/{label}/runs", &[Action::ReadPeriods]),
    v1("POST", "/v1/calendars/{name}/periods/{label}/runs", &[Action::RunPeriod]),
    v1("POST", "/v1/calendars/{name}/periods/{label}/seal", &[Action::StepPeriod]).takes(Work::Long),
    v1("POST", "/v1/calendars/{name}/periods/{label}/unlock", &[Action::StepPeriod]),
    v1("GET", "/v1/clock", &[Action::ReadOperations]),
    v1("POST", "/v1/clock/accept", &[Action::Operate]),
    v1("GET", "/v1/digest", &[Action::ReadOperations]).takes(Work::Long),
    v1("GET", "/v1/digest/network", &[Action::ReadOperations]).takes(Work::Long),
    v1("GET", "/v1/events", &[Action::ReadEvents]).takes(Work::Endless),
    v1("GET", "/v1/members", &[Action::ReadNetwork]),
    v1("POST", "/v1/members", &[Action::RegisterMember]),
    v1("POST", "/v1/members/attributes/batch", &[Action::ManageMember]).takes(Work::StreamedBody),
    v1("POST", "/v1/members/batch", &[Action::RegisterMember]).takes(Work::StreamedBody),
    v1("GET", "/v1/members/by-code/{code}", &[Action::ReadMember, Action::ReadNetwork]),
    v1("GET", "/v1/members/{id}", &[Action::ReadMember]),
    v1("PATCH", "/v1/members/{id}", &[Action::ManageMember]),
    v1("GET", "/v1/members/{id}/attributes", &[Action::ReadMember]),
    v1("PUT", "/v1/members/{id}/attributes", &[Action::ManageMember]),
    v1("GET", "/v1/members/{id}/bonuses", &[Action::ReadBonuses]),
    v1("GET", "/v1/members/{id}/children", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/downline", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/is-ancestor-of/{other}", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/levels", &[Action::ReadMember, Action::ReadBonuses]),
    v1("GET", "/v1/members/{id}/levels/{level}", &[Action::ReadMember, Action::ReadBonuses]),
    v1("GET", "/v1/members/{id}/opening", &[Action::ReadBonuses]),
    v1("GET", "/v1/members/{id}/rank", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/report", &[Action::ReadBonuses]),
    v1("GET", "/v1/members/{id}/tree", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/upline", &[Action::ReadMember]),
    v1("GET", "/v1/members/{id}/volumes", &[Action::ReadMember]).takes(Work::Long),
    v1("GET", "/v1/opening", &[Action::ReadPeriods]),
    v1("GET", "/v1/orders", &[Action::ReadMember, Action::ReadNetwork]),
    v1("POST", "/v1/orders", &[Action::WriteOrders]),
    v1("POST", "/v1/orders/batch", &[Action::WriteOrders]).takes(Work::StreamedBody),
    v1("GET", "/v1/orders/{id}", &[Action::ReadMember]),
    v1("POST", "/v1/orders/{id}/refund", &[Action::WriteOrders]),
    v1("GET", "/v1/placement/preview", &[Action::ReadMember]),
    v1("GET", "/v1/plan", &[Action::ReadPlan]),
    v1("PUT", "/v1/plan", &[Action::ChangePlan]),
    v1("POST", "/v1/plan/check", &[Action::ChangePlan]).takes(Work::Long),
    v1("GET", "/v1/plan/versions", &[Action::ReadPlan]),
    v1("GET", "/v1/ranks", &[Action::ReadNetwork]),
    v1("POST", "/v1/ranks/recompute", &[Action::Operate]).takes(Work::Long),
    v1("GET", "/v1/search", &[Action::ReadNetwork]),
    v1("GET", "/v1/snapshots", &[Action::ReadOperations]),
    v1("POST", "/v1/snapshots", &[Action::Operate]).takes(Work::Long),
    v1("GET", "/v1/stats", &[Action::ReadOperations]),
    v1("GET", "/v1/volumes/top", &[Action::ReadNetwork]).takes(Work::Long),
];

/// The routes of operators.
pub fn ops_routes() -> &'static [Route] {
    &ROUTES[..OPS]
}

/// The routes of the drop-in, in matching order.
pub fn dropin_routes() -> &'static [Route] {
    &ROUTES[OPS..OPS + DROPIN]
}

/// The routes of `/v1`.
pub fn v1_routes() -> &'static [Route] {
    &ROUTES[OPS + DROPIN..]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::v1;

    #[test]
    fn each_route_stands_with_those_of_its_api_and_once() {
        let of = |routes: &[Route], api: fn(Api) -> bool| routes.iter().all(|route| api(route.api));
        assert!(of(ops_routes(), |api| api == Api::Ops));
        assert!(of(dropin_routes(), |api| matches!(api, Api::Dropin(_))));
        assert!(of(v1_routes(), |api| api == Api::V1));
        let names: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(names.len(), ROUTES.len());
    }

    /// The gate decides by the path alone, so that a method that does not exist is answered with 405 where
    /// the path is open.
    #[test]
    fn a_path_is_open_under_all_of_its_methods_or_none() {
        for route in &ROUTES {
            let is_open = |route: &Route| route.access == Access::Open;
            let others = ROUTES.iter().filter(|other| other.path == route.path);
            assert!(others.clone().all(|other| is_open(other) == is_open(route)), "{}", route.path);
            assert!(
                !is_open(route) || !route.path.contains('{'),
                "{}: open paths are compared whole",
                route.path
            );
        }
    }

    /// Each handler of `/v1` has its row, and each row its handler.
    #[test]
    fn the_handlers_of_v1_are_those_of_the_table() {
        let description = v1::description();
        let declared: Vec<(&str, &str)> = description
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| v1::operations_of(item).map(|(method, _)| (method, path.as_str())))
            .collect();
        let table: Vec<(&str, &str)> = v1_routes().iter().map(|route| (route.method, route.path)).collect();
        assert_eq!(declared, table);
        assert!(v1_routes().iter().all(|route| route.access.asked().is_some_and(|asks| !asks.is_empty())));
    }
}
