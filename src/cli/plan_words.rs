//! What a plan says about orders, in a line each: what `plan check` adds to the plan.

use crate::{
    core::plan::{
        Plan,
        calendar::{Calendar, Every, Grace, Late, Weekday},
        commerce::{AMOUNT, Commerce, Rounding, Volume, VolumeForm, VolumeOf},
    },
    plan_document::print_percent,
};

/// Returns the lines; none for a plan that takes no orders.
pub(super) fn about_orders(plan: &Plan) -> Vec<String> {
    let commerce = &plan.commerce;
    if !commerce.takes_orders() {
        return Vec::new();
    }
    let mut lines: Vec<String> =
        commerce.calendars.iter().map(|calendar| of_calendar(calendar, commerce)).collect();
    lines.extend(commerce.volumes.iter().map(|volume| of_volume(volume, commerce)));
    let amount = Some(AMOUNT).filter(|_| commerce.amount_live);
    let volumes = commerce.volumes.iter().filter(|volume| volume.live).map(|volume| &*volume.name);
    let live: Vec<&str> = amount.into_iter().chain(volumes).collect();
    lines.push(match &live[..] {
        [] => "kept live: nothing".to_owned(),
        live => {
            format!("kept live, in both trees and to level {}: {}", commerce.live_levels, live.join(", "))
        }
    });
    lines.extend(commerce.refund_lowers_volume.map(|lowers| {
        let answer = if lowers { "lowers" } else { "does not lower" };
        format!("a refund that comes after its order's period was posted {answer} the open period's volumes")
    }));
    lines
}

fn of_calendar(calendar: &Calendar, commerce: &Commerce) -> String {
    let Calendar { name, every, timezone, grace, late, first, four_eyes } = calendar;
    let length = match every {
        Every::Day => "days".to_owned(),
        Every::Week { begins } => format!("weeks from {}", capital(*begins)),
        Every::HalfMonth => "half months".to_owned(),
        Every::Month => "months".to_owned(),
        Every::Quarter => "quarters".to_owned(),
        Every::Year { from_month: 1 } => "calendar years".to_owned(),
        Every::Year { from_month } => format!("years from month {from_month}"),
        Every::Days { count, .. } => format!("{count} days each"),
        Every::Periods { of, pattern } => {
            let pattern: Vec<String> = pattern.iter().map(u16::to_string).collect();
            let other = commerce.calendars.get(usize::from(*of)).map_or("?", |other| &*other.name);
            format!("{} of `{other}`", pattern.join(", "))
        }
    };
    let grace = match grace {
        Grace { days: 0, hours: 0 } => "no grace".to_owned(),
        Grace { days, hours: 0 } => format!("grace {days} d"),
        Grace { days, hours } => format!("grace {days} d {hours} h"),
    };
    let late = match late {
        Late::Book => "later orders go into the oldest period that takes any",
        Late::Refuse => "later orders are refused",
    };
    let first = first.map_or_else(String::new, |first| {
        format!("; the first has {:04}-{:02}-{:02}", first.year, first.month, first.day)
    });
    let approval = if *four_eyes { "; approved by another than ran it" } else { "" };
    format!("calendar `{name}`: {length}, {timezone}{first}; {grace}, {late}{approval}")
}

fn capital(day: Weekday) -> String {
    let name: &str = day.into();
    name[..1].to_ascii_uppercase() + &name[1..]
}

fn of_volume(volume: &Volume, commerce: &Commerce) -> String {
    let Volume { name, exponent, form, live: _ } = volume;
    let form = match form {
        VolumeForm::Given => "named by each line".to_owned(),
        VolumeForm::Percent { of, rate } => {
            let of = match of {
                VolumeOf::Amount => AMOUNT,
                VolumeOf::Volume(of) => commerce.volumes.get(usize::from(*of)).map_or("?", |of| &*of.name),
            };
            let rounding = match commerce.rounding {
                Rounding::HalfAway => "a half away from zero",
                Rounding::HalfEven => "a half to even",
                Rounding::Truncate => "toward zero",
            };
            format!("{}% of `{of}`, rounded for each line, {rounding}", print_percent(rate.0.into()))
        }
    };
    format!("volume `{name}`: {form}; {exponent} decimals")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan_file;

    #[test]
    fn what_a_plan_says_about_orders_is_said_in_words() {
        let plan = plan_file::parse(include_str!("../../plans/monthly-volume.toml")).unwrap();
        assert_eq!(
            about_orders(&plan),
            [
                "calendar `week`: weeks from Saturday, America/Denver; no grace, later orders go into the \
                 oldest period that takes any",
                "calendar `month`: months, America/Denver; the first has 2026-07-01; grace 3 d, later orders \
                 go into the oldest period that takes any; approved by another than ran it",
                "calendar `fiscal-month`: 4, 4, 5 of `week`, America/Denver; no grace, later orders go into \
                 the oldest period that takes any",
                "volume `pv`: named by each line; 2 decimals",
                "volume `cv`: 80% of `pv`, rounded for each line, a half away from zero; 2 decimals",
                "kept live, in both trees and to level 7: pv",
                "a refund that comes after its order's period was posted does not lower the open period's \
                 volumes",
            ]
        );
        assert_eq!(about_orders(&plan_file::default_plan()), [""; 0]);
    }
}
