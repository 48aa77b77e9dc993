//! What a plan says about orders, as it follows the other parts of a plan since format 6.

use super::{
    bytes::{Reader, put_count, put_text},
    error::{DecodeError, EncodeError},
};
use crate::core::{
    plan::{
        calendar::{Calendar, Date, Every, Grace, Late, PATTERN_MAX, Weekday},
        commerce::{Commerce, Rounding, Volume, VolumeForm, VolumeOf},
    },
    types::BasisPoints,
};

const EVERY_DAY: u8 = 0;
const EVERY_WEEK: u8 = 1;
const EVERY_HALF_MONTH: u8 = 2;
const EVERY_MONTH: u8 = 3;
const EVERY_QUARTER: u8 = 4;
const EVERY_YEAR: u8 = 5;
const EVERY_DAYS: u8 = 6;
const EVERY_PERIODS: u8 = 7;

const VOLUME_GIVEN: u8 = 0;
const VOLUME_OF_AMOUNT: u8 = 1;
const VOLUME_OF_VOLUME: u8 = 2;

const UNANSWERED: u8 = 0;
const ANSWERED_NO: u8 = 1;
const ANSWERED_YES: u8 = 2;

pub(super) fn encode_commerce(commerce: &Commerce, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Commerce {
        calendars,
        volumes,
        amount_live,
        live_levels,
        order_kinds,
        order_tags,
        markets,
        has_owners,
        member_tags,
        rounding,
        refund_lowers_volume,
    } = commerce;
    put_count(calendars.len(), out)?;
    calendars.iter().try_for_each(|calendar| encode_calendar(calendar, out))?;
    put_count(volumes.len(), out)?;
    volumes.iter().try_for_each(|volume| encode_volume(volume, out))?;
    out.extend_from_slice(&[u8::from(*amount_live), *live_levels]);
    for names in [order_kinds, order_tags, markets, member_tags] {
        let length = u16::try_from(names.len()).map_err(|_| EncodeError::ListTooLong(names.len()))?;
        out.extend_from_slice(&length.to_le_bytes());
        names.iter().try_for_each(|name| put_text(name, out))?;
    }
    out.extend_from_slice(&[u8::from(*has_owners), *rounding as u8]);
    out.push(match refund_lowers_volume {
        None => UNANSWERED,
        Some(false) => ANSWERED_NO,
        Some(true) => ANSWERED_YES,
    });
    Ok(())
}

/// Returns a bound on the bytes of `encode_commerce`. The lists of a valid plan are short.
pub(super) fn commerce_bytes_bound(commerce: &Commerce) -> usize {
    /// What each item has beside its name, and a pattern of periods.
    const CALENDAR: usize = 32 + 2 * PATTERN_MAX;
    const VOLUME: usize = 16;
    const TEXT: usize = 2;
    let calendar = |calendar: &Calendar| CALENDAR + calendar.name.len() + calendar.timezone.len();
    let names = [&commerce.order_kinds, &commerce.order_tags, &commerce.markets, &commerce.member_tags];
    let names = names.into_iter().flatten().map(|name| TEXT + name.len());
    let volumes = commerce.volumes.iter().map(|volume| VOLUME + volume.name.len());
    // Four lengths, and what follows the lists.
    16 + commerce.calendars.iter().map(calendar).sum::<usize>()
        + volumes.sum::<usize>()
        + names.sum::<usize>()
}

fn encode_calendar(calendar: &Calendar, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Calendar { name, every, timezone, grace, late, first, four_eyes } = calendar;
    put_text(name, out)?;
    match every {
        Every::Day => out.push(EVERY_DAY),
        Every::Week { begins } => out.extend_from_slice(&[EVERY_WEEK, *begins as u8]),
        Every::HalfMonth => out.push(EVERY_HALF_MONTH),
        Every::Month => out.push(EVERY_MONTH),
        Every::Quarter => out.push(EVERY_QUARTER),
        Every::Year { from_month } => out.extend_from_slice(&[EVERY_YEAR, *from_month]),
        Every::Days { count, anchor } => {
            out.push(EVERY_DAYS);
            out.extend_from_slice(&count.to_le_bytes());
            put_date(*anchor, out);
        }
        Every::Periods { of, pattern } => {
            out.extend_from_slice(&[EVERY_PERIODS, *of]);
            put_count(pattern.len(), out)?;
            out.extend(pattern.iter().flat_map(|count| count.to_le_bytes()));
        }
    }
    put_text(timezone, out)?;
    out.extend_from_slice(&grace.days.to_le_bytes());
    out.extend_from_slice(&grace.hours.to_le_bytes());
    out.extend_from_slice(&[*late as u8, u8::from(first.is_some())]);
    if let Some(first) = first {
        put_date(*first, out);
    }
    out.push(u8::from(*four_eyes));
    Ok(())
}

fn put_date(date: Date, out: &mut Vec<u8>) {
    out.extend_from_slice(&date.year.to_le_bytes());
    out.extend_from_slice(&[date.month, date.day]);
}

fn encode_volume(volume: &Volume, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let Volume { name, exponent, form, live } = volume;
    put_text(name, out)?;
    out.extend_from_slice(&[*exponent, u8::from(*live)]);
    match form {
        VolumeForm::Given => out.push(VOLUME_GIVEN),
        VolumeForm::Percent { of, rate } => {
            match of {
                VolumeOf::Amount => out.push(VOLUME_OF_AMOUNT),
                VolumeOf::Volume(of) => out.extend_from_slice(&[VOLUME_OF_VOLUME, *of]),
            }
            out.extend_from_slice(&rate.0.to_le_bytes());
        }
    }
    Ok(())
}

pub(super) fn decode_commerce(body: &mut Reader<'_>) -> Result<Commerce, DecodeError> {
    Ok(Commerce {
        calendars: (0..body.u8()?).map(|_| decode_calendar(body)).collect::<Result<_, _>>()?,
        volumes: (0..body.u8()?).map(|_| decode_volume(body)).collect::<Result<_, _>>()?,
        amount_live: body.flag()?,
        live_levels: body.u8()?,
        order_kinds: decode_names(body)?,
        order_tags: decode_names(body)?,
        markets: decode_names(body)?,
        member_tags: decode_names(body)?,
        has_owners: body.flag()?,
        rounding: body.code(Rounding::from_repr, "an unknown rounding")?,
        refund_lowers_volume: match body.u8()? {
            UNANSWERED => None,
            ANSWERED_NO => Some(false),
            ANSWERED_YES => Some(true),
            _ => return Err(body.error_before("an unknown answer")),
        },
    })
}

fn decode_names(body: &mut Reader<'_>) -> Result<Vec<Box<str>>, DecodeError> {
    (0..body.u16()?).map(|_| Ok(body.text()?.into())).collect()
}

fn decode_calendar(body: &mut Reader<'_>) -> Result<Calendar, DecodeError> {
    Ok(Calendar {
        name: body.text()?.into(),
        every: match body.u8()? {
            EVERY_DAY => Every::Day,
            EVERY_WEEK => {
                Every::Week { begins: body.code(Weekday::from_repr, "an unknown day of the week")? }
            }
            EVERY_HALF_MONTH => Every::HalfMonth,
            EVERY_MONTH => Every::Month,
            EVERY_QUARTER => Every::Quarter,
            EVERY_YEAR => Every::Year { from_month: body.u8()? },
            EVERY_DAYS => Every::Days { count: body.u16()?, anchor: decode_date(body)? },
            EVERY_PERIODS => Every::Periods {
                of: body.u8()?,
                pattern: (0..body.u8()?).map(|_| body.u16()).collect::<Result<_, _>>()?,
            },
            _ => return Err(body.error_before("an unknown length of periods")),
        },
        timezone: body.text()?.into(),
        grace: Grace { days: body.u16()?, hours: body.u16()? },
        late: body.code(Late::from_repr, "an unknown rule for late orders")?,
        first: if body.flag()? { Some(decode_date(body)?) } else { None },
        four_eyes: body.flag()?,
    })
}

fn decode_date(body: &mut Reader<'_>) -> Result<Date, DecodeError> {
    Ok(Date { year: body.u16()?, month: body.u8()?, day: body.u8()? })
}

fn decode_volume(body: &mut Reader<'_>) -> Result<Volume, DecodeError> {
    let (name, exponent, live) = (body.text()?.into(), body.u8()?, body.flag()?);
    let of = match body.u8()? {
        VOLUME_GIVEN => return Ok(Volume { name, exponent, form: VolumeForm::Given, live }),
        VOLUME_OF_AMOUNT => VolumeOf::Amount,
        VOLUME_OF_VOLUME => VolumeOf::Volume(body.u8()?),
        _ => return Err(body.error_before("an unknown form of a volume")),
    };
    let form = VolumeForm::Percent { of, rate: BasisPoints(body.u32()?) };
    Ok(Volume { name, exponent, form, live })
}
