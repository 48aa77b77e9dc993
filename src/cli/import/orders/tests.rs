use std::{cell::Cell, io::Cursor, rc::Rc};

use super::*;
use crate::{
    cli::network::Network,
    core::{
        plan::{
            Plan,
            calendar::{Calendar, Every, Grace, Late},
            commerce::{Commerce, Volume, VolumeForm, VolumeOf},
        },
        state::State,
        types::{BasisPoints, MemberIx, Timestamp},
    },
    engine::{MemberDirectory, OrderId, PeriodRef},
    http::offline,
    plan_file,
};

/// 2026-11-15.
const NOW: i64 = 1_794_700_800_000_000;

fn plan() -> Plan {
    let month = Calendar {
        name: "month".into(),
        every: Every::Month,
        timezone: "UTC".into(),
        grace: Grace { days: 3, hours: 0 },
        late: Late::Book,
        first: None,
        four_eyes: false,
    };
    let volume = |name: &str, form| Volume { name: name.into(), exponent: 1, form, live: true };
    let commerce = Commerce {
        calendars: vec![month],
        volumes: vec![
            volume("pv", VolumeForm::Given),
            volume("half", VolumeForm::Percent { of: VolumeOf::Volume(0), rate: BasisPoints(5_000) }),
        ],
        amount_live: true,
        live_levels: 2,
        order_tags: vec!["autoship".into(), "web".into()],
        refund_lowers_volume: Some(false),
        ..Commerce::default()
    };
    Plan { commerce, count_sponsor_tree: true, ..plan_file::default_plan() }
}

fn network() -> Network {
    let state = State::new(plan(), 5);
    let mut network = Network::new(state, MemberDirectory::with_capacity(0, 0), Timestamp(NOW));
    let taken = super::super::command::members_from(
        &mut network,
        b"member,sponsor,joined_at\nanna,,\nbert,anna,\n",
        false,
    );
    assert_eq!(taken.members, 2);
    open_periods::keep(&mut network).unwrap();
    network
}

fn take(network: &mut Network, text: &str) -> Taken {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("orders");
    std::fs::write(&path, text).unwrap();
    let mut taken = Taken::default();
    let intake = Intake::new(IntoNetwork::new(network), None, &mut taken);
    take_path(&path, |volumes| Ok(columns_of(volumes)), intake).unwrap();
    taken
}

/// Line, order and name of the reason of each refused order.
fn refused(taken: &Taken) -> Vec<String> {
    taken.refused.iter().map(|one| format!("{} {} {}", one.line, one.order, one.reason.name)).collect()
}

#[test]
fn rows_of_one_id_are_the_lines_of_an_order() {
    let mut network = network();
    let text = "order_id,user_id,amount,pv,tags,time,customer\n\
                A-1,anna,12.50,10,autoship web,2026-11-02,C-1\n\
                A-1,,7.5,,,,\n\
                A-2,bert,1,0.5,,,\n";
    let taken = take(&mut network, text);
    assert_eq!((taken.orders, refused(&taken)), (2, vec![]));
    let first = OrderId::parse(&network.state.order_id(0)).unwrap();
    let order = offline::order(&first, &network.state, &network.directory, &network.sealed);
    let order = order.unwrap().expect("it is there");
    assert_eq!(order["credits"][0]["user_id"], network.state.id(MemberIx(0)).to_string());
    assert_eq!(order["time"], "2026-11-02T00:00:00.000000Z");
    assert_eq!(order["tags"], json!(["autoship", "web"]));
    assert_eq!(order["customer"], "C-1");
    assert_eq!(order["booking"], json!({"month": "2026-11"}));
    assert_eq!(order["lines"][0]["volumes"], json!({"pv": "10.0", "half": "5.0"}));
    assert_eq!(order["lines"][1]["volumes"], json!({"pv": "0.0", "half": "0.0"}));
    assert_eq!(order["placed"]["amount"], "20.00");
    // Again, and as objects: all of it is there.
    let again = take(&mut network, text);
    assert_eq!((again.orders, again.already_there, refused(&again)), (0, 2, vec![]));
    let period = PeriodRef { calendar: 0, period: 0 };
    assert_eq!(network.state.period_totals(period).orders, 2);
}

#[test]
fn objects_are_those_of_the_api() {
    let mut network = network();
    let (anna, bert) = (network.state.id(MemberIx(0)), network.state.id(MemberIx(1)));
    let text = format!(
        "{{\"order_id\":\"A-1\",\"credits\":[{{\"user_id\":\"{anna}\",\"part\":\"0.25\"}},\
         {{\"user_id\":\"{bert}\",\"part\":\"0.75\"}}],\"lines\":[{{\"amount\":\"4.00\"}}]}}\n\n\
         {{\"order_id\":\"A-2\",\"user_id\":\"{anna}\",\"lines\":[]}}\n\
         nonsense\n\
         {{\"order_id\":\"A-3\",\"user_id\":\"{anna}\",\
         \"lines\":[{{\"amount\":\"1\",\"volumes\":{{\"half\":1}}}}]}}\n\
         {{\"order_id\":\"A-4\",\"user_id\":\"{anna}\",\"lines\":[{{\"amount\":1}}]}}"
    );
    let taken = take(&mut network, &text);
    assert_eq!(taken.orders, 2);
    assert_eq!(refused(&taken), ["3 A-2 order_malformed", "4  body_malformed", "5 A-3 field_invalid"]);
    let long = |chars| format!("{{\"order_id\":\"{}\"}}\n", "x".repeat(chars));
    let taken = take(&mut network, &long(200_000));
    assert_eq!(refused(&taken), [format!("1 {}... body_malformed", "x".repeat(64))]);
    let long = long(1_200_000);
    let last = format!("{{\"order_id\":\"A-5\",\"user_id\":\"{anna}\",\"lines\":[{{\"amount\":1}}]}}");
    let taken = take(&mut network, &(long + &last));
    assert_eq!((taken.orders, refused(&taken)), (1, vec!["1  bad_row".to_owned()]));
}

#[test]
fn an_order_is_taken_whole_or_refused_with_its_line() {
    let mut network = network();
    let text = "order_id,user_id,amount,pv\n\
                A-1,anna,1,\n\
                A-1,anna,x,\n\
                A-2,nobody,1,\n\
                A-3,anna,1,0.55\n\
                A-4,anna,1,\n\
                A-4,bert,1,\n\
                A-5,anna,1,\n\
                A-6,anna,-1,\n\
                A-5,anna,2,\n\
                A 7,anna,1,\n";
    let taken = take(&mut network, text);
    assert_eq!(taken.orders, 1);
    assert_eq!(
        refused(&taken),
        [
            "2 A-1 field_invalid",
            "4 A-2 unknown_member",
            "5 A-3 field_invalid",
            "6 A-4 rows_differ",
            "9 A-6 field_invalid",
            "10 A-5 order_id_taken",
            "11 A 7 field_invalid",
        ]
    );
    assert!(taken.refused[5].reason.words.contains("stand together"), "{}", taken.refused[5].reason.words);
}

#[test]
fn a_row_that_cannot_be_read_spoils_its_neighbors() {
    let mut network = network();
    let text = "order_id,user_id,amount\n\
                A-1,anna,1\n\
                A-2,anna,1\n\
                A-2,anna\n\
                A-2,anna,1\n\
                A-3,anna,1\n\
                broken\n\
                A-4,anna,1\n\
                A-5,anna,1\n";
    let taken = take(&mut network, text);
    assert_eq!(taken.orders, 2, "A-1 and A-5");
    assert_eq!(
        refused(&taken),
        ["3 A-2 near_bad_row", "4  bad_row", "6 A-3 near_bad_row", "7  bad_row", "8 A-4 near_bad_row"]
    );
}

/// Takes what it is given, but for the second time.
#[derive(Default)]
struct FailsOnce {
    calls: Rc<Cell<u32>>,
}

impl Sink for FailsOnce {
    type Reader = to_server::AsGiven;

    fn volumes(&self) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn reader(&self) -> to_server::AsGiven {
        to_server::AsGiven
    }

    fn place(&mut self, _: Vec<OnLine<to_server::ToSend>>, taken: &mut Taken) -> Result<(), Failure> {
        self.calls.set(self.calls.get() + 1);
        match self.calls.get() {
            2 => Err(Failure::new(Exit::Refused, "the server is busy")),
            _ => {
                taken.orders += 1;
                Ok(())
            }
        }
    }

    fn carry(&mut self, _: u64, _: &[u8], _: &mut Taken) -> Result<(), Failure> {
        unreachable!("the import was over before")
    }

    fn finish(&mut self, _: &mut Taken) -> Result<(), Failure> {
        unreachable!("the import was over before")
    }
}

/// A server that is there again would take the rest, and nobody would know that a batch is missing.
#[test]
fn nothing_follows_what_a_sink_could_not_take() {
    let rows = (0..5_000).map(|number| format!("A-{number},anna,1\n")).collect::<Vec<_>>().concat();
    let object = |number| format!("{{\"order_id\":\"A-{number}\"}}\n");
    let objects = (0..5_000).map(object).collect::<Vec<_>>().concat();
    for text in [format!("order_id,user_id,amount\n{rows}"), objects] {
        let lines = OrderLines::read("it".into(), Box::new(Cursor::new(text)), &columns_of(&[]));
        let (sink, mut taken) = (FailsOnce::default(), Taken::default());
        let calls = Rc::clone(&sink.calls);
        let failure = Intake::new(sink, None, &mut taken).take(lines.unwrap()).map(|_| ()).unwrap_err();
        assert_eq!(failure.message, "the server is busy");
        assert_eq!((calls.get(), taken.orders), (2, 1));
    }
}
