//! Periods of calendars: when they open and close, what people do with them, and their runs.

use crate::core::{
    orders::{periods::PeriodState, runs::RunRow, steps::StepRow},
    requests::command::{OpenPeriod, Outcome, PeriodRef, PeriodStep, RecordRun, Rejection, StepPeriod},
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    words::{directory::Directory, types::Reason},
};

impl Rules for kinds::OpenPeriod {
    type Content<'a> = &'a OpenPeriod;
    type Found = ();

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        open: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<(), Rejection> {
        if state.plan().commerce.calendars.len() <= usize::from(open.calendar) {
            return Err(Rejection::CalendarUnknown);
        }
        state.orders.periods().judge_next(open)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        open: Self::Content<'_>,
        (): (),
        aside: &mut Aside,
    ) -> Outcome {
        state.open_period(open, aside)
    }
}

impl Rules for kinds::ClosePeriod {
    type Content<'a> = &'a PeriodRef;
    type Found = bool;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        period: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<bool, Rejection> {
        let row = state.orders.periods().get(*period).ok_or(Rejection::PeriodUnknown)?;
        if state.scalars.time < row.end {
            return Err(Rejection::PeriodNotOver);
        }
        Ok(row.state() == PeriodState::Open)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        period: Self::Content<'_>,
        changed: bool,
        _aside: &mut Aside,
    ) -> Outcome {
        if changed {
            state.orders.periods_mut().set_state(*period, PeriodState::Closing);
        }
        Outcome::PeriodClosing { period: period.period, changed }
    }
}

impl Rules for kinds::StepPeriod {
    type Content<'a> = &'a StepPeriod;
    type Found = Option<PeriodState>;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        step: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_period_step(step)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        step: Self::Content<'_>,
        leads_to: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.step_period(step, leads_to)
    }
}

impl Rules for kinds::RecordRun {
    type Content<'a> = &'a RecordRun;
    type Found = ();

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        run: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<(), Rejection> {
        state.judge_run(run)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        run: Self::Content<'_>,
        (): (),
        _aside: &mut Aside,
    ) -> Outcome {
        state.record_run(run)
    }
}

impl State {
    fn open_period(&mut self, open: &OpenPeriod, aside: &mut Aside) -> Outcome {
        let (lsn, live) = (self.scalars.lsn, self.live_values());
        let period = self.orders.periods_mut().open(open, lsn, live);
        self.open_live(period, &mut aside.replaced);
        Outcome::PeriodOpened { calendar: period.calendar.into(), period: period.period }
    }

    /// Where a step leads; `None` if the period stands there already.
    fn judge_period_step(&self, step: &StepPeriod) -> Result<Option<PeriodState>, Rejection> {
        let StepPeriod { period, step, by, reason: _ } = step;
        let run = self.run_since_lock(*period);
        let leads_to = self.orders.periods().judge_step(*period, *step, run.is_some())?;
        let needs_other = || {
            let calendar = self.plan().commerce.calendars.get(usize::from(period.calendar));
            calendar.is_some_and(|calendar| calendar.four_eyes)
        };
        let is_runner = run.is_some_and(|run| run.actor() == *by);
        if *step == PeriodStep::Approve && leads_to.is_some() && is_runner && needs_other() {
            return Err(Rejection::ApproverIsRunner);
        }
        if *step == PeriodStep::Lock && leads_to.is_some() && self.is_opening_unfinished() {
            return Err(Rejection::OpeningUnfinished);
        }
        let has_nowhere_to_correct = || {
            let takes_orders = self.orders.periods().any_takes_orders(period.calendar, self.scalars.time);
            self.orders.has_waiting(*period) && !takes_orders
        };
        if leads_to == Some(PeriodState::Posted) && has_nowhere_to_correct() {
            return Err(Rejection::PeriodNotOpen);
        }
        if leads_to.is_some() && !self.orders.steps().has_room() {
            return Err(Rejection::PeriodsFull);
        }
        Ok(leads_to)
    }

    /// The newest run of a period since it was locked last. O(runs and steps).
    fn run_since_lock(&self, period: PeriodRef) -> Option<&RunRow> {
        let steps = self.orders.steps().list().iter().rev().filter(|step| step.is_of(period));
        let locked = steps.into_iter().find(|step| step.step() == PeriodStep::Lock)?.lsn;
        self.orders.runs().newest(period).filter(|run| locked < run.lsn)
    }

    fn step_period(&mut self, step: &StepPeriod, leads_to: Option<PeriodState>) -> Outcome {
        let StepPeriod { period, step, reason, by } = step;
        let (lsn, time) = (self.scalars.lsn, self.scalars.time);
        if let Some(state) = leads_to {
            self.orders.periods_mut().set_state(*period, state);
            self.orders.steps_mut().push(StepRow {
                lsn,
                time,
                period: period.period,
                calendar: period.calendar.into(),
                step: *step as u8,
                by_kind: by.kind() as u8,
                by: by.id().into(),
                reason: reason.as_ref().map_or("", Reason::as_str).into(),
            });
            let ends_waiting = matches!(step, PeriodStep::Unlock | PeriodStep::Post);
            if ends_waiting {
                let is_posted = *step == PeriodStep::Post;
                let lowers_volume = self.refunds_lower_volume();
                let changes = self.orders.end_waiting(*period, is_posted, time, lowers_volume);
                changes.iter().for_each(|change| self.change_values(change));
            }
        }
        Outcome::PeriodStepped { period: period.period, changed: leads_to.is_some() }
    }

    /// A run is of a locked period whose predecessor was posted, and by the plan that holds for it.
    fn judge_run(&self, run: &RecordRun) -> Result<(), Rejection> {
        let RecordRun { period, plan_version, up_to_lsn, .. } = run;
        let row = self.orders.periods().get(*period).ok_or(Rejection::PeriodUnknown)?;
        if row.state() != PeriodState::Locked {
            return Err(Rejection::PeriodStepNotAllowed);
        }
        let before = period.period.checked_sub(1).map(|before| PeriodRef { period: before, ..*period });
        let before = before.and_then(|before| self.orders.periods().get(before));
        if before.is_some_and(|before| !before.state().is_final()) {
            return Err(Rejection::PeriodOutOfOrder);
        }
        if Some(*plan_version) != self.plan_version_of_period(*period) || self.scalars.lsn < *up_to_lsn {
            return Err(Rejection::RunMismatched);
        }
        if self.orders.runs().has_room() { Ok(()) } else { Err(Rejection::PeriodsFull) }
    }

    fn record_run(&mut self, run: &RecordRun) -> Outcome {
        let RecordRun { period, plan_version, up_to_lsn, lines, digest, by } = run;
        let runs = self.orders.runs_mut();
        let number = u32::try_from(runs.list().len()).expect("few");
        runs.push(RunRow {
            lsn: self.scalars.lsn,
            time: self.scalars.time,
            up_to_lsn: *up_to_lsn,
            pay_lines: *lines,
            period: period.period,
            plan_version: *plan_version,
            calendar: period.calendar.into(),
            by_kind: by.kind() as u8,
            digest: *digest,
            by: by.id().into(),
        });
        Outcome::RunRecorded { run: number }
    }
}
