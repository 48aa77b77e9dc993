//! The full canonical plan, as `PutPlan` records and snapshots hold it.

use super::{
    bytes::{Reader, put_count, put_optional, put_text},
    commerce::{decode_commerce, encode_commerce},
    error::{DecodeError, EncodeError},
};
use crate::core::{
    plan::{
        BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep,
        commerce::Commerce,
    },
    types::{BasisPoints, Money, Tree},
};

const PAY_FIXED: u8 = 0;
const PAY_SHARE: u8 = 1;
const RANKS_THRESHOLDS: u8 = 0;
const RANKS_LEVEL_FILL: u8 = 1;

/// The first format whose plans say something about orders.
pub(super) const COMMERCE_SINCE: u32 = 6;

/// The parts of a plan that are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanForm {
    /// Before format 6: nothing about orders.
    WithoutOrders,
    /// Since format 6: all of them.
    Whole,
}

/// Appends the plan to `out`.
///
/// # Errors
/// A name or list is too long, which no valid plan has; or the form cannot express the plan.
pub fn encode_plan(plan: &Plan, form: PlanForm, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if form == PlanForm::WithoutOrders && plan.commerce != Commerce::default() {
        return Err(EncodeError::NotBefore(COMMERCE_SINCE));
    }
    put_text(&plan.name, out)?;
    out.extend_from_slice(&plan.currency.code);
    out.push(plan.currency.exponent);
    // `Plan::validate` rejects a width of 0, so 0 can mean "unlimited".
    out.extend_from_slice(&plan.placement.width.unwrap_or(0).to_le_bytes());
    out.push(plan.placement.default_rule as u8);
    put_count(plan.placement.other_rules.len(), out)?;
    out.extend(plan.placement.other_rules.iter().map(|rule| *rule as u8));
    out.push(u8::from(plan.placement.strategic));
    out.push(u8::from(plan.count_sponsor_tree));
    out.push(plan.level_cap);
    put_count(plan.bonuses.len(), out)?;
    for rule in &plan.bonuses {
        encode_bonus(rule, out)?;
    }
    encode_ranks(&plan.ranks, out)?;
    match form {
        PlanForm::WithoutOrders => Ok(()),
        PlanForm::Whole => encode_commerce(&plan.commerce, out),
    }
}

fn encode_bonus(rule: &BonusRule, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_text(&rule.trigger, out)?;
    out.push(rule.tree as u8);
    out.push(u8::from(rule.on_registration));
    out.push(u8::from(rule.admins_beyond));
    match &rule.pay {
        LevelPay::Fixed(amounts) => {
            out.push(PAY_FIXED);
            put_count(amounts.len(), out)?;
            for amount in amounts {
                out.extend_from_slice(&amount.0.to_le_bytes());
            }
        }
        LevelPay::Share(rates) => {
            out.push(PAY_SHARE);
            put_count(rates.len(), out)?;
            for rate in rates {
                out.extend_from_slice(&rate.0.to_le_bytes());
            }
        }
    }
    Ok(())
}

fn encode_ranks(ranks: &RankRule, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match ranks {
        RankRule::Thresholds { tree, basis, .. } => {
            out.extend_from_slice(&[RANKS_THRESHOLDS, *tree as u8, *basis as u8]);
        }
        RankRule::LevelFill { tree, .. } => out.extend_from_slice(&[RANKS_LEVEL_FILL, *tree as u8]),
    }
    put_count(ranks.steps().len(), out)?;
    for step in ranks.steps() {
        put_text(&step.name, out)?;
        out.extend_from_slice(&step.minimum.to_le_bytes());
        put_optional(step.reward.map(|reward| reward.0), out);
    }
    Ok(())
}

/// Reads a plan and validates it, since everything that holds a `Plan` relies on its rules.
///
/// # Errors
/// The bytes are not a plan, or the plan breaks a rule.
pub fn decode_plan(body: &mut Reader<'_>, form: PlanForm) -> Result<Plan, DecodeError> {
    let invalid = body.error("a plan that breaks a rule of plans");
    let name = body.text()?.into();
    let currency = Currency { code: body.array()?, exponent: body.u8()? };
    let width = Some(body.u16()?).filter(|width| *width != 0);
    let default_rule = decode_rule(body)?;
    let other_rules = (0..body.u8()?).map(|_| decode_rule(body)).collect::<Result<Vec<_>, _>>()?;
    let placement = Placement { width, default_rule, other_rules, strategic: body.flag()? };
    let count_sponsor_tree = body.flag()?;
    let level_cap = body.u8()?;
    let bonuses = (0..body.u8()?).map(|_| decode_bonus(body)).collect::<Result<Vec<_>, _>>()?;
    let ranks = decode_ranks(body)?;
    let commerce = match form {
        PlanForm::WithoutOrders => Commerce::default(),
        PlanForm::Whole => decode_commerce(body)?,
    };
    let plan = Plan { name, currency, placement, count_sponsor_tree, level_cap, bonuses, ranks, commerce };
    plan.validate().map_err(|_| invalid)?;
    Ok(plan)
}

fn decode_rule(body: &mut Reader<'_>) -> Result<PlacementRule, DecodeError> {
    body.code(PlacementRule::from_repr, "an unknown placement rule")
}

fn decode_bonus(body: &mut Reader<'_>) -> Result<BonusRule, DecodeError> {
    let trigger = body.text()?.into();
    let tree = body.code(Tree::from_repr, "an unknown tree")?;
    let on_registration = body.flag()?;
    let admins_beyond = body.flag()?;
    let pay = match body.u8()? {
        PAY_FIXED => {
            LevelPay::Fixed((0..body.u8()?).map(|_| body.i64().map(Money)).collect::<Result<_, _>>()?)
        }
        PAY_SHARE => {
            LevelPay::Share((0..body.u8()?).map(|_| body.u32().map(BasisPoints)).collect::<Result<_, _>>()?)
        }
        _ => return Err(body.error_before("an unknown kind of pay")),
    };
    Ok(BonusRule { trigger, tree, pay, on_registration, admins_beyond })
}

fn decode_ranks(body: &mut Reader<'_>) -> Result<RankRule, DecodeError> {
    match body.u8()? {
        RANKS_THRESHOLDS => {
            let tree = body.code(Tree::from_repr, "an unknown tree")?;
            let basis = body.code(RankBasis::from_repr, "an unknown basis of ranks")?;
            Ok(RankRule::Thresholds { tree, basis, steps: decode_steps(body)? })
        }
        RANKS_LEVEL_FILL => {
            let tree = body.code(Tree::from_repr, "an unknown tree")?;
            Ok(RankRule::LevelFill { tree, steps: decode_steps(body)? })
        }
        _ => Err(body.error_before("an unknown kind of rank rule")),
    }
}

fn decode_steps(body: &mut Reader<'_>) -> Result<Vec<RankStep>, DecodeError> {
    (0..body.u8()?)
        .map(|_| {
            Ok(RankStep {
                name: body.text()?.into(),
                minimum: body.u32()?,
                reward: body.optional_i64()?.map(Money),
            })
        })
        .collect()
}
