//! The life of periods.

use upline::core::{
    command::{OpenPeriod, Outcome, PeriodRef, PeriodStep, RecordRun, Rejection, StepPeriod},
    plan::Plan,
    types::Timestamp,
};

use super::{Act, Period, Stage};
use crate::networks::naive::Naive;

impl Naive {
    pub(in crate::networks::naive) fn open_period(
        &mut self,
        period: &OpenPeriod,
    ) -> Result<Outcome, Rejection> {
        let calendar = usize::from(period.calendar);
        let plan = &self.plan.commerce;
        if plan.calendars.len() <= calendar {
            return Err(Rejection::CalendarUnknown);
        }
        let earlier = self.periods_of(calendar);
        let follows = earlier.last().is_none_or(|last| {
            last.content.end == period.start && last.content.grace_until <= period.grace_until
        });
        let is_new = earlier.iter().all(|other| other.content.label != period.label);
        if !follows || !is_new || period.end <= period.start || period.grace_until < period.end {
            return Err(Rejection::PeriodMismatched);
        }
        let volumes = plan.volumes.iter().map(|volume| volume.live);
        let live = [plan.amount_live].into_iter().chain(volumes).enumerate();
        let new = Period {
            content: period.clone(),
            opened: self.lsn,
            stage: Stage::Open,
            was_locked: false,
            runner: None,
            runs: 0,
            live: live.filter(|(_, is_live)| *is_live).map(|(value, _)| value).collect(),
            live_levels: usize::from(plan.live_levels),
        };
        let all = &mut self.commerce.periods;
        all.resize_with(all.len().max(calendar + 1), Vec::new);
        all[calendar].push(new);
        let period = all[calendar].len() as u32 - 1;
        Ok(Outcome::PeriodOpened { calendar: calendar as u32, period })
    }

    pub(in crate::networks::naive) fn close_period(
        &mut self,
        period: PeriodRef,
    ) -> Result<Outcome, Rejection> {
        let (calendar, at) = self.find_period(period)?;
        let now = self.time;
        let found = &mut self.commerce.periods[calendar][at];
        if now < found.content.end {
            return Err(Rejection::PeriodNotOver);
        }
        let changed = found.stage == Stage::Open;
        found.stage = found.stage.max(Stage::Closing);
        Ok(Outcome::PeriodClosing { period: period.period, changed })
    }

    pub(super) fn find_period(&self, period: PeriodRef) -> Result<(usize, usize), Rejection> {
        let (calendar, at) = (usize::from(period.calendar), period.period as usize);
        if self.periods_of(calendar).len() <= at { Err(Rejection::PeriodUnknown) } else { Ok((calendar, at)) }
    }

    pub(in crate::networks::naive) fn step_period(
        &mut self,
        step: &StepPeriod,
    ) -> Result<Outcome, Rejection> {
        let (calendar, at) = self.find_period(step.period)?;
        let periods = self.periods_of(calendar);
        let period = &periods[at];
        let stepped = |changed| Ok(Outcome::PeriodStepped { period: step.period.period, changed });
        let predecessor_posted = at == 0 || Stage::Posted <= periods[at - 1].stage;
        match (step.step, period.stage) {
            (PeriodStep::Lock, Stage::Locked)
            | (PeriodStep::Unlock, Stage::Closing)
            | (PeriodStep::Approve, Stage::Approved)
            | (PeriodStep::Post, Stage::Posted | Stage::Sealed) => return stepped(false),
            (PeriodStep::Lock, Stage::Open) => return Err(Rejection::PeriodNotOver),
            (PeriodStep::Lock, Stage::Closing) => {
                if periods[..at].iter().any(|earlier| earlier.stage < Stage::Locked) {
                    return Err(Rejection::PeriodOutOfOrder);
                }
                if self.is_opening_unfinished() {
                    return Err(Rejection::OpeningUnfinished);
                }
            }
            (PeriodStep::Unlock, Stage::Locked | Stage::Approved) => {
                if periods[at + 1..].iter().any(|later| Stage::Locked <= later.stage) {
                    return Err(Rejection::PeriodOutOfOrder);
                }
            }
            (PeriodStep::Approve, Stage::Locked) => {
                let Some(runner) = &period.runner else { return Err(Rejection::PeriodStepNotAllowed) };
                if self.plan.commerce.calendars[calendar].four_eyes && *runner == step.by {
                    return Err(Rejection::ApproverIsRunner);
                }
            }
            (PeriodStep::Post, Stage::Approved) => {
                if !predecessor_posted {
                    return Err(Rejection::PeriodOutOfOrder);
                }
            }
            _ => return Err(Rejection::PeriodStepNotAllowed),
        }
        let waiting: Vec<usize> = (0..self.commerce.refunds.len())
            .filter(|refund| {
                let refund = &self.commerce.refunds[*refund];
                let is_of_period = self.commerce.orders[refund.order].periods.get(calendar) == Some(&at);
                is_of_period && refund.acts[calendar] == Act::Waits
            })
            .collect();
        let stage = match step.step {
            PeriodStep::Lock => Stage::Locked,
            PeriodStep::Unlock => Stage::Closing,
            PeriodStep::Approve => Stage::Approved,
            PeriodStep::Post => Stage::Posted,
            PeriodStep::Seal => unreachable!("no period takes it as a step"),
        };
        let takes_orders = periods.iter().any(|period| period.takes_orders(self.time));
        if stage == Stage::Posted && !waiting.is_empty() && !takes_orders {
            return Err(Rejection::PeriodNotOpen);
        }
        let newest = periods.len() - 1;
        for refund in waiting {
            let act = match stage {
                Stage::Closing => Act::Lowers,
                Stage::Posted => {
                    let lowers = self.plan.commerce.refund_lowers_volume == Some(true);
                    let later = Act::Corrects { period: newest, lowers };
                    self.correction(calendar, self.commerce.refunds[refund].time).unwrap_or(later)
                }
                _ => Act::Waits,
            };
            self.commerce.refunds[refund].acts[calendar] = act;
        }
        let period = &mut self.commerce.periods[calendar][at];
        if step.step == PeriodStep::Lock {
            period.was_locked = true;
        } else if step.step == PeriodStep::Unlock {
            period.runner = None;
        }
        period.stage = stage;
        if stage == Stage::Posted {
            self.commerce.posted = self.lsn;
        }
        stepped(true)
    }

    pub(in crate::networks::naive) fn record_run(&mut self, run: &RecordRun) -> Result<Outcome, Rejection> {
        let (calendar, at) = self.find_period(run.period)?;
        let periods = self.periods_of(calendar);
        if periods[at].stage != Stage::Locked {
            return Err(Rejection::PeriodStepNotAllowed);
        }
        if at != 0 && periods[at - 1].stage < Stage::Posted {
            return Err(Rejection::PeriodOutOfOrder);
        }
        // A new version holds from the next period on.
        let Period { content, opened, .. } = &periods[at];
        let holds = |(_, lsn, time, _): &&(u32, u64, Timestamp, Plan)| *time <= content.start || lsn < opened;
        let holding = self.plan_versions.iter().rfind(holds).expect("the first holds always").0;
        if run.plan_version != holding || self.lsn < run.up_to_lsn {
            return Err(Rejection::RunMismatched);
        }
        let period = &mut self.commerce.periods[calendar][at];
        period.runner = Some(run.by.clone());
        period.runs += 1;
        self.commerce.runs += 1;
        Ok(Outcome::RunRecorded { run: self.commerce.runs - 1 })
    }
}
