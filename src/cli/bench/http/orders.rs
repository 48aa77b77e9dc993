//! R5: orders over HTTP, compared with signups of the same server under the same plan.

use serde_json::Value;

use super::{
    Bench, Kind, Pace, Report, SIGNUP_CONNECTIONS, Side, TURNS, WARM_UP, Who, failed, serve, wire::Connection,
};
use crate::{
    cli::exit::{Exit, Failure},
    core::plan::Plan,
    plan_document::PlanDocument,
    plan_file,
};

/// R5: share of the signups' rate.
const SHARE_MIN: f64 = 0.85;

impl Bench<'_> {
    /// Measures R5, on a server of its own that gets a plan with orders.
    pub(super) fn orders(&mut self) -> Result<Report, Failure> {
        self.server = None;
        let server = serve(&self.cores, &self.data_dir, "warn", self.interrupt)?;
        let address = server.address;
        self.server = Some(server);
        let demo = plan_file::demo_plan();
        let plan = Plan { commerce: demo.commerce, count_sponsor_tree: true, ..self.args.plan()? };
        put_plan(address, &plan)?;
        let half = SIGNUP_CONNECTIONS / 2;
        let signups = [(Kind::Signups, SIGNUP_CONNECTIONS, Pace::Closed)];
        let orders = [(Kind::Orders, SIGNUP_CONNECTIONS, Pace::Closed)];
        let both = [(Kind::Signups, half, Pace::Closed), (Kind::Orders, half, Pace::Closed)];
        for load in [&signups[..], &orders] {
            self.turn(Who::Server, load, WARM_UP, &mut [&mut Side::default()])?;
        }
        let (mut signed, mut ordered) = (Side::default(), Side::default());
        let (mut half_signed, mut half_ordered) = (Side::default(), Side::default());
        let turn = self.lasting / TURNS;
        for number in 0..TURNS {
            // The order alternates, so that both inherit the other's leftovers equally often.
            if number.is_multiple_of(2) {
                self.turn(Who::Server, &signups, turn, &mut [&mut signed])?;
                self.turn(Who::Server, &orders, turn, &mut [&mut ordered])?;
            } else {
                self.turn(Who::Server, &orders, turn, &mut [&mut ordered])?;
                self.turn(Who::Server, &signups, turn, &mut [&mut signed])?;
            }
            self.turn(Who::Server, &both, turn, &mut [&mut half_signed, &mut half_ordered])?;
        }
        let (rate, limit) = (ordered.rate(), signed.rate());
        let mixed = half_signed.rate().zip(half_ordered.rate()).map(|(signups, orders)| signups + orders);
        let target =
            "R5: durable orders over HTTP, 256 connections: >= 85% of the signups under the same plan";
        let mut report = self.report(target, SIGNUP_CONNECTIONS)?;
        report.param("route", "POST /v1/orders");
        report.param("plan", "the demo's calendar, volume and kinds");
        report.figure("orders_per_second", rate);
        report.figure("p50_us", ordered.at(0.5));
        report.figure("p99_us", ordered.at(0.99));
        report.figure("cpu_us_per_order", ordered.cpu_micros());
        report.figure("half_and_half_per_second", mixed);
        report.figure("half_and_half_signup_p99_us", half_signed.at(0.99));
        report.figure("acknowledged_orders", self.acknowledged_orders);
        report.limit("signups_per_second", limit);
        report.limit("signup_p50_us", signed.at(0.5));
        report.limit("signup_p99_us", signed.at(0.99));
        report.limit("cpu_us_per_signup", signed.cpu_micros());
        report.limit("generator_cpu_share", ordered.generator_share(self.generator.threads));
        report.compare(rate, limit);
        report.judge(self.is_asked(), rate.zip(limit).map(|(rate, limit)| SHARE_MIN * limit <= rate));
        Ok(report)
    }
}

/// Gives a server a plan; the answer comes when its first periods are open.
fn put_plan(address: std::net::SocketAddr, plan: &Plan) -> Result<(), Failure> {
    let document = serde_json::to_value(PlanDocument::new(plan)).unwrap_or(Value::Null).to_string();
    let request = format!(
        "PUT /v1/plan HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{document}",
        document.len()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await.map_err(failed)?;
        let answer = connection.exchange(request.as_bytes()).await.map_err(failed)?;
        let said = String::from_utf8_lossy(answer.body);
        if answer.status == 200 {
            return Ok(());
        }
        Err(Failure::new(Exit::Failed, format!("the plan was answered {}: {said}", answer.status)))
    })
}
