//! Sixteen clients write and read concurrently, and record every response with its LSN and its times.
//! Afterwards the log is applied from scratch, command by command, and at each LSN every response with that
//! LSN must match the state: reads and refusals too.
//!
//! The order of LSNs must be that of real time: a request sent after a response sees its effects. And nothing
//! is visible before it is durable: after each of some thousand responses the power fails, and the reported
//! LSN is there.
//!
//! `UPLINE_HISTORY_OPERATIONS` (8,000) and `UPLINE_SEED` set the amount and the seed.

mod clients;
mod durable;
mod expected;

use std::time::{Duration, Instant};

use clients::Answered;

use crate::{
    common::{Server, registration, uuid},
    proof,
};

/// A request sent after a response must not see an older LSN; a write must get a newer one.
fn assert_real_time(answers: &[Answered]) -> u64 {
    // A response and a request at the same moment are unordered.
    let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
    for (at, answer) in answers.iter().enumerate().filter(|(_, answer)| !answer.is_repeat) {
        moments.push((answer.begin, false, at));
        moments.push((answer.end, true, at));
    }
    moments.sort_unstable();
    let (mut newest, mut compared) = (0, 0);
    for (_, is_end, at) in moments {
        let answer = &answers[at];
        if is_end {
            newest = newest.max(answer.lsn);
        } else {
            compared += 1;
            assert!(newest <= answer.lsn, "LSN {newest} was answered before this was asked: {answer:?}");
            assert!(
                newest < answer.lsn || !answer.is_write(),
                "a write after LSN {newest} was answered: {answer:?}"
            );
        }
    }
    compared
}

#[test]
fn every_answer_is_that_of_its_lsn() {
    let _turn = crate::common::turn();
    let (operations, seed) =
        (proof::number("UPLINE_HISTORY_OPERATIONS", 8_000), proof::number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let begin = Instant::now();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let data = directory.path().join("data");
    let plan = directory.path().join("plan.toml");
    std::fs::write(&plan, proof::bulky_plan()).expect("a temporary file");
    let server = Server::start(
        &data,
        &["--plan", plan.to_str().expect("UTF-8"), "--snapshot-every-commands", "1000", "--log", "warn"],
    );
    assert_eq!(server.post("/user/register", &registration(&uuid(0), None)).status, 200);
    let answers = clients::run(&server, operations, seed);
    server.kill();
    let compared = assert_real_time(&answers);
    let plan = upline::plan_file::parse(&proof::bulky_plan()).expect("a plan");
    let checked = expected::check(&answers, proof::from_nothing(&data, plan));
    let [writes, reads, refusals, repeats] = checked;
    proof::summary(&format!(
        "history: seed={seed} answers={} writes={writes} reads={reads} refusals={refusals} repeats={repeats} \
         in_real_time={compared} wrong=0 seconds={}",
        answers.len(),
        begin.elapsed().as_secs()
    ));
    assert!(0 < writes && 0 < reads && 0 < refusals && 0 < repeats, "every kind of answer is there");
}
