//! Writes: some commands wait together, the writer takes a turn, and its responses are compared.

use std::{collections::VecDeque, sync::atomic::Ordering};

use upline::{
    core::{
        Actor, RefundState,
        command::{Applied, Command, Outcome, Register, Rejection, RequestKey, Stamped},
        types::Timestamp,
    },
    engine::{Answer, AnsweredBy, Engine, SteppedWriter, SubmitError, Submitted},
};

use super::{HOUR, Waiting, World, is_poisoned};
use crate::{faults::Trouble, networks::picture::Network};

/// Steps of periods before the commands of a group, at most.
const DUE_AT_ONCE: usize = 4;

impl World {
    /// Submits commands that wait together.
    pub(super) fn group(&mut self, writing: &mut SteppedWriter) {
        let mut queued = VecDeque::new();
        self.submit_some(writing, &mut queued);
        self.turn(writing, &mut queued);
    }

    pub(super) fn submit_some(&mut self, writing: &mut SteppedWriter, queued: &mut VecDeque<Waiting>) {
        for _ in 0..DUE_AT_ONCE {
            let Some(due) = self.maker.due_in_shop() else { break };
            self.submit(writing, due, None, queued);
            self.turn(writing, queued);
        }
        // Small groups where there is time between them, in which periods end.
        let sizes: &[u64] = match (self.idle, self.maker.is_shop()) {
            (true, _) => &[2],
            (false, true) => &[1, 1, 3, 3, 20],
            (false, false) => &[1, 1, 3, 8, 20],
        };
        let most = self.chance.of_slice(sizes);
        for _ in 0..self.chance.between(1, most) {
            let step = self.maker.step();
            self.time_passes(step.pause);
            let command = step.command(|id| self.naive.code_of(id));
            let again = self.chance.percent(4);
            if self.recall_before(writing, &command, queued) {
                self.turn(writing, queued);
            }
            self.submit(writing, command.clone(), step.key, queued);
            if again {
                // A client that stopped waiting.
                self.submit(writing, command, step.key, queued);
            }
        }
        self.send_seal(writing, queued);
    }

    /// Advances time, or sets the clock.
    fn time_passes(&mut self, pause: i64) {
        let jump = match self.chance.below(100) {
            0 | 1 => -100 * HOUR,
            2 if self.clock_jump_max.is_some() => 100 * HOUR,
            _ => 0,
        };
        if jump == 0 {
            self.clock.fetch_add(pause, Ordering::Relaxed);
            self.boot_clock.fetch_add(pause, Ordering::Relaxed);
        } else {
            self.clock.fetch_add(jump, Ordering::Relaxed);
            self.clock_off -= jump;
        }
    }

    /// After a refusal: corrects the clock, or accepts it, or does nothing yet.
    fn look_at_the_clock(&mut self, engine: &Engine) {
        let (wall, boot) = self.clocks();
        match self.chance.below(3) {
            0 => {
                self.clock.fetch_add(std::mem::take(&mut self.clock_off), Ordering::Relaxed);
            }
            1 => {
                assert!(engine.accept_clock().jump.is_some() && self.naive_clock.accept(wall, boot));
                assert_eq!(engine.accept_clock().jump, None, "once is enough");
            }
            _ => {}
        }
    }

    pub(super) fn submit(
        &mut self,
        writing: &SteppedWriter,
        command: Command,
        key: Option<RequestKey>,
        queued: &mut VecDeque<Waiting>,
    ) {
        self.tally.operations += 1;
        let was_ready = !is_poisoned(writing.engine());
        // Like the lines of an import, which may depend on earlier lines.
        let unjudged = self.chance.percent(15);
        // No command in flight frees an id.
        let may_pass = |why| unjudged && why != Rejection::OrderIdTaken;
        let answer = match writing.submit(command.clone(), key, may_pass) {
            Submitted::Queued(reply) => {
                assert!(was_ready, "D4: a poisoned writer takes nothing");
                queued.push_back(Waiting { command, key, reply });
                return;
            }
            Submitted::Answered(answer) => answer,
        };
        match answer {
            Err(SubmitError::SealsUnreadable) => {
                assert!(was_ready && self.trouble != Trouble::None, "unreadable, and nothing was wrong");
                self.tally.seals_unreadable += 1;
            }
            Err(error) => {
                let expected = if was_ready { SubmitError::TooLarge } else { SubmitError::ReadOnly };
                assert_eq!(error, expected, "{command:?}");
            }
            Ok(answer) => {
                assert!(was_ready, "D4: a poisoned writer answers nothing");
                self.check_at_once(&command, key, answer);
            }
        }
        self.end_seal(writing, &command, &answer);
    }

    /// A response without the log must match the model of what was acknowledged.
    pub(super) fn check_at_once(&mut self, command: &Command, key: Option<RequestKey>, answer: Answer) {
        let (lsn, _) = self.naive.position();
        let (expected, by) = if let Some((outcome, by)) = self.sealed_answer(key, command) {
            (Applied { outcome, lsn }, by)
        } else {
            match self.naive.without_effect(key, command) {
                Ok(earlier) => (earlier, AnsweredBy::Repeat),
                Err(why) => (Applied { outcome: Outcome::Rejected(why), lsn }, AnsweredBy::Admission),
            }
        };
        assert_eq!((answer.applied, answer.by), (expected, by), "{command:?}, {key:?}");
        self.count_refusal(command, answer.applied.outcome);
        match by {
            AnsweredBy::Repeat => self.tally.repeats += 1,
            AnsweredBy::Seal => self.tally.repeats_of_sealed += 1,
            _ => self.tally.refused_at_admission += 1,
        }
    }

    /// Runs the writer's turns until nothing waits, comparing the responses after each.
    pub(super) fn turn(&mut self, writing: &mut SteppedWriter, queued: &mut VecDeque<Waiting>) {
        loop {
            let was_ready = !is_poisoned(writing.engine());
            if !writing.step() {
                break;
            }
            let mut group = Vec::new();
            while let Some(answer) = queued.front_mut().and_then(|first| first.reply.try_answer()) {
                let Waiting { command, key, .. } = queued.pop_front().expect("it was looked at");
                group.push((command, key, answer));
            }
            let seal = group.iter().find(|(command, ..)| matches!(command, Command::SealPeriod(_))).cloned();
            self.check_group(writing.engine(), group, was_ready);
            if let Some((command, _, answer)) = seal {
                self.end_seal(writing, &command, &answer);
            }
        }
        assert!(queued.is_empty(), "everybody is answered");
    }

    pub(super) fn check_group(
        &mut self,
        engine: &Engine,
        group: Vec<(Command, Option<RequestKey>, Result<Answer, SubmitError>)>,
        was_ready: bool,
    ) {
        let Some((_, _, first)) = group.first() else { return };
        self.say(|| format!("group of {}: {first:?}", group.len()));
        let (wall, boot) = self.clocks();
        let time = self.naive.position().1.max(Timestamp(wall));
        // A failed log is reported first.
        let jumped = was_ready && self.naive_clock.jumped(wall, boot).is_some();
        assert_eq!(*first == Err(SubmitError::ClockJumped), jumped, "{first:?}, {:?}", engine.clock());
        match *first {
            Ok(_) => {
                assert_eq!(self.naive_clock.write(wall, boot), Ok(time.0));
                // A small group may still fit where a larger one, or a mark, did not.
                assert!(was_ready && !is_poisoned(engine), "a poisoned writer acknowledges nothing");
                assert_eq!(engine.read(|state, _| state.time()), time);
                self.tally.groups += 1;
                for (command, key, answer) in group {
                    let answer = answer.expect("a group is acknowledged as a whole");
                    assert_eq!(answer.by, AnsweredBy::Log);
                    let expected = self.apply(engine, command, key, time);
                    assert_eq!(answer.applied, expected, "outcome of the engine, and of the model");
                    self.tally.acknowledged += 1;
                }
            }
            Err(SubmitError::ClockJumped) => {
                assert!(!is_poisoned(engine) && !engine.ready(), "it is no failure, and it is said");
                assert!(
                    group.iter().all(|(_, _, answer)| *answer == Err(SubmitError::ClockJumped)),
                    "a group is refused as a whole"
                );
                self.tally.clock_jumped += 1;
                self.look_at_the_clock(engine);
            }
            Err(SubmitError::NoRoom) => {
                assert!(
                    was_ready && !is_poisoned(engine) && !engine.ready(),
                    "it is no failure, and it is said"
                );
                assert!(
                    group.iter().all(|(_, _, answer)| *answer == Err(SubmitError::NoRoom)),
                    "a group is refused as a whole"
                );
                assert_ne!(self.trouble, Trouble::None, "no room, and nothing was wrong");
                self.tally.no_room += 1;
            }
            Err(error) => {
                assert!(group.iter().all(|(_, _, answer)| *answer == Err(error)), "a group fails as a whole");
                assert!(!engine.ready());
                let expected = if was_ready { SubmitError::OutcomeUnknown } else { SubmitError::ReadOnly };
                assert_eq!(error, expected);
                if was_ready {
                    self.in_flight = group.into_iter().map(|(command, key, _)| (command, key)).collect();
                    self.in_flight_time = time;
                }
            }
        }
        self.compare(engine);
    }

    /// Applies the engine's commands to the model.
    pub(super) fn apply(
        &mut self,
        engine: &Engine,
        command: Command,
        key: Option<RequestKey>,
        time: Timestamp,
    ) -> Applied {
        let stamped = Stamped {
            lsn: self.naive.position().0 + 1,
            time,
            key,
            actor: Some(Actor::unknown()),
            format: Stamped::FORMAT,
            command,
        };
        let waiting = self.naive.refunds_waiting();
        let applied = self.naive.apply(&stamped);
        self.note_sealed(&stamped.command, applied.outcome);
        self.count_effect(engine, &stamped, applied, waiting);
        self.count_refusal(&stamped.command, applied.outcome);
        if applied.lsn == stamped.lsn {
            self.maker.learn(&stamped.command, applied.outcome);
            if let (Command::Register(Register { code: None, .. }), Outcome::Registered { member }) =
                (&stamped.command, applied.outcome)
            {
                let known = engine.read(|state, _| (member.0 < state.len()).then(|| state.code(member)));
                self.naive.learn_code(member.at(), &known.expect("the member is there"));
            }
        }
        self.tally.rejected_in_the_log += u64::from(matches!(applied.outcome, Outcome::Rejected(_)));
        self.maker.entries = self.naive.entries();
        (self.maker.lsn, self.maker.time) = (stamped.lsn, time.0);
        if applied.lsn == stamped.lsn {
            self.acknowledged.push((stamped.command, key, applied));
        }
        applied
    }

    fn count_refusal(&mut self, command: &Command, outcome: Outcome) {
        let is_order = matches!(command, Command::PlaceOrder(_) | Command::RefundOrder(_));
        if let (true, Outcome::Rejected(rejection)) = (is_order, outcome) {
            *self.tally.orders_refused.entry(rejection.name()).or_default() += 1;
        }
    }

    /// Counts what a command changed. `waiting`: refunds that waited before it.
    fn count_effect(&mut self, engine: &Engine, stamped: &Stamped, applied: Applied, waiting: usize) {
        let is_refused = matches!(applied.outcome, Outcome::Rejected(_)) || applied.outcome.is_no_op();
        if is_refused || applied.lsn != stamped.lsn {
            return;
        }
        self.tally.effects[stamped.command.kind().position()] += 1;
        let ended = waiting.saturating_sub(self.naive.refunds_waiting());
        self.tally.waits_ended += ended as u64;
        let Outcome::OrderRefunded { refund, .. } = applied.outcome else { return };
        // Later commands of its group may have let it act since.
        let order = engine.read(|state, _| state.order(state.order_of_refund(refund)));
        let given = order.refunds.iter().find(|given| given.lsn == applied.lsn).expect("it was given");
        for (_, state) in &given.states {
            match state {
                RefundState::Lowered => self.tally.refunds_lowered += 1,
                RefundState::Waiting => self.tally.refunds_waiting += 1,
                RefundState::Correction | RefundState::LowersLater => self.tally.refunds_corrected += 1,
            }
        }
    }
}
