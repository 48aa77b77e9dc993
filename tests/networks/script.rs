//! The line language of the scenarios: words in, commands and plans out. The language is explained in
//! `tests/scenarios/README.md`.

mod opening;
mod orders;

use upline::core::{
    command::{
        Carried, ChangeEntry, Command, EntryChange, ImportEntry, Origin, PayFilter, PlacementRequest,
        Register, RequestKey, SponsorRef, TriggerBonus,
    },
    plan::{
        BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep,
        commerce::Commerce,
    },
    types::{
        BasisPoints, Code, EntryStatus, MemberId, Money, Reason, Reference, Role, Status, Timestamp, Tree,
    },
};

pub const HOUR: i64 = 3_600_000_000;

/// Why a line is invalid.
pub type Wrong = String;

/// The words of a line, consumed one by one.
pub struct Words<'a> {
    words: std::iter::Peekable<std::str::SplitWhitespace<'a>>,
}

impl<'a> Words<'a> {
    pub fn of(line: &'a str) -> Self {
        Self { words: line.split_whitespace().peekable() }
    }

    pub fn next(&mut self, what: &str) -> Result<&'a str, Wrong> {
        self.words.next().ok_or_else(|| format!("{what} is missing"))
    }

    pub fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, Wrong> {
        let word = self.next(what)?;
        word.parse().map_err(|_| format!("`{word}` is no {what}"))
    }

    /// Consumes the next word if it is `word`.
    pub fn take(&mut self, word: &str) -> bool {
        self.words.next_if(|next| *next == word).is_some()
    }

    pub fn rest(&mut self) -> Vec<&'a str> {
        self.words.by_ref().collect()
    }

    pub fn end(&mut self) -> Result<(), Wrong> {
        self.words.next().map_or(Ok(()), |word| Err(format!("`{word}` is one word too many")))
    }
}

#[allow(unused_imports, reason = "not every test program asks for periods")]
pub use orders::period;

/// Returns the id of a member with this name: the name's own bytes.
pub fn id_of(name: &str) -> MemberId {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    MemberId(id)
}

pub fn name_of(id: MemberId) -> String {
    String::from_utf8_lossy(&id.0).trim_end_matches('\0').to_owned()
}

/// `12.34` and `-12.34`: two decimals in all scenarios.
pub fn money(word: &str) -> Result<Money, Wrong> {
    let wrong = || format!("`{word}` is no amount with two decimals");
    let (negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let (units, cents) = digits.split_once('.').ok_or_else(wrong)?;
    let good = cents.len() == 2 && format!("{units}{cents}").bytes().all(|byte| byte.is_ascii_digit());
    let amount: i64 = format!("{units}{cents}").parse().map_err(|_| wrong())?;
    if good { Ok(Money(if negative { -amount } else { amount })) } else { Err(wrong()) }
}

pub fn print_money(amount: Money) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let cents = amount.0.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

pub fn tree(word: &str) -> Result<Tree, Wrong> {
    match word {
        "sponsor" => Ok(Tree::Sponsor),
        "placement" => Ok(Tree::Placement),
        _ => Err(format!("`{word}` is no tree")),
    }
}

pub fn rule(word: &str) -> Result<PlacementRule, Wrong> {
    word.parse().map_err(|_| format!("`{word}` is no placement rule"))
}

/// `P:0` is slot 0 under P.
fn slot(word: &str) -> Result<PlacementRequest, Wrong> {
    let wrong = || format!("`{word}` is no slot like P:0");
    let (parent, slot) = word.split_once(':').ok_or_else(wrong)?;
    Ok(PlacementRequest::Slot { parent: id_of(parent), slot: slot.parse().map_err(|_| wrong())? })
}

fn code(word: &str) -> Result<Code, Wrong> {
    Code::parse(word).ok_or_else(|| format!("`{word}` is no code"))
}

/// `join NAME [by NAME | by-code CODE] [rule RULE | at NAME:SLOT] [code CODE] [joined HOUR] [admin]
/// [imported] [row ID] [lifetime RANK] [turn SLOT] [status STATUS] [sponsor-too]`; the last five are of
/// imports
pub fn register(words: &mut Words) -> Result<Register, Wrong> {
    let mut register = Register {
        member: id_of(words.next("name")?),
        sponsor: SponsorRef::None,
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    };
    let mut carried = None;
    while let Ok(word) = words.next("") {
        match word {
            "by" => register.sponsor = SponsorRef::Member(id_of(words.next("sponsor")?)),
            "by-code" => register.sponsor = SponsorRef::Code(code(words.next("code")?)?),
            "rule" => register.placement = PlacementRequest::Rule(rule(words.next("rule")?)?),
            "at" => register.placement = slot(words.next("slot")?)?,
            "code" => register.code = Some(code(words.next("code")?)?),
            "joined" => register.joined_at = Some(Timestamp(words.number::<i64>("hour")? * HOUR)),
            "admin" => register.role = Role::Admin,
            "imported" => _ = carried.get_or_insert_with(Carried::default),
            "row" => {
                carried.get_or_insert_with(Carried::default).row_id = Some(id_of(words.next("row id")?).0);
            }
            "lifetime" => {
                carried.get_or_insert_with(Carried::default).lifetime_rank = words.number("rank")?;
            }
            "turn" => carried.get_or_insert_with(Carried::default).turn = words.number("slot")?,
            "status" => {
                let status: Status = words.next("status")?.parse().map_err(|_| "no such status")?;
                carried.get_or_insert_with(Carried::default).status = status;
            }
            "sponsor-too" => carried.get_or_insert_with(Carried::default).sponsor_too = true,
            other => return Err(format!("`{other}` is nothing that a join can have")),
        }
    }
    register.origin = carried.map_or(Origin::Signup, Origin::Import);
    Ok(register)
}

/// Parses single-line commands. `None` when the first word is not one.
pub fn command(verb: &str, words: &mut Words) -> Result<Option<Command>, Wrong> {
    let command = match verb {
        "join" => Command::Register(register(words)?),
        "trigger" => Command::TriggerBonus(trigger(words)?),
        "pay-entry" => Command::PayEntry { entry: words.number("entry")? },
        "pay-all" => Command::PayAll,
        "pay-matching" => Command::PayMatching(pay_filter(words)?),
        "hold" => change_entry(EntryChange::Hold, words)?,
        "release" => change_entry(EntryChange::Release, words)?,
        "void" => change_entry(EntryChange::Void, words)?,
        "keep-once" => {
            let source = id_of(words.next("member")?);
            Command::KeepOnce { source, trigger: words.next("trigger")?.into() }
        }
        "reverse" => Command::ReverseEntry { entry: words.number("entry")? },
        "status" => {
            let member = id_of(words.next("member")?);
            let word = words.next("status")?;
            Command::SetStatus { member, status: word.parse().map_err(|_| format!("`{word}` is no status"))? }
        }
        "role" => {
            let member = id_of(words.next("member")?);
            let word = words.next("role")?;
            Command::SetRole { member, role: word.parse().map_err(|_| format!("`{word}` is no role"))? }
        }
        "import-entry" => Command::ImportEntry(import_entry(words)?),
        _ => match orders::command(verb, words)? {
            Some(command) => command,
            None => return Ok(None),
        },
    };
    words.end()?;
    Ok(Some(command))
}

/// `hold|release|void ENTRY REASON` (`_`: a blank)
fn change_entry(change: EntryChange, words: &mut Words) -> Result<Command, Wrong> {
    let entry = words.number("entry")?;
    let word = words.next("reason")?.replace('_', " ");
    let reason = Reason::parse(&word).ok_or_else(|| format!("`{word}` is no reason"))?;
    Ok(Command::ChangeEntry(ChangeEntry { entry, change, reason }))
}

/// Parses a word as a reference: `_` stands for a blank.
fn reference(words: &mut Words) -> Result<Option<Reference>, Wrong> {
    if !words.take("reference") {
        return Ok(None);
    }
    let word = words.next("reference")?.replace('_', " ");
    Reference::parse(&word).map(Some).ok_or_else(|| format!("`{word}` is no reference"))
}

/// `pay-matching [up-to LSN] [kind KIND] [receiver MEMBER] [from HOUR] [until HOUR]`
fn pay_filter(words: &mut Words) -> Result<PayFilter, Wrong> {
    let mut filter = PayFilter::default();
    while let Ok(word) = words.next("") {
        match word {
            "up-to" => filter.up_to_lsn = Some(words.number("LSN")?),
            "kind" => filter.kind = Some(words.next("kind")?.into()),
            "receiver" => filter.receiver = Some(id_of(words.next("receiver")?)),
            "from" => filter.from = Some(Timestamp(words.number::<i64>("hour")? * HOUR)),
            "until" => filter.until = Some(Timestamp(words.number::<i64>("hour")? * HOUR)),
            other => return Err(format!("`{other}` is nothing that a filter can have")),
        }
    }
    Ok(filter)
}

/// `trigger NAME by MEMBER [amount AMOUNT] [once] [reference TEXT]`
fn trigger(words: &mut Words) -> Result<TriggerBonus, Wrong> {
    let trigger = words.next("trigger")?.into();
    if !words.take("by") {
        return Err("`by` is missing".into());
    }
    let source = id_of(words.next("source")?);
    let amount = if words.take("amount") { Some(money(words.next("amount")?)?) } else { None };
    let once = words.take("once");
    Ok(TriggerBonus { source, trigger, amount, once, reference: reference(words)? })
}

/// `import-entry RECEIVER from SOURCE KIND level LEVEL AMOUNT STATUS at HOUR [row ID] [reference TEXT]
/// [reverses ENTRY]`
fn import_entry(words: &mut Words) -> Result<ImportEntry, Wrong> {
    let receiver = id_of(words.next("receiver")?);
    let source = if words.take("from") { id_of(words.next("source")?) } else { receiver };
    let kind = words.next("kind")?.into();
    let level = if words.take("level") { words.number("level")? } else { 0 };
    let amount = money(words.next("amount")?)?;
    let word = words.next("status")?;
    let status: EntryStatus = word.parse().map_err(|_| format!("`{word}` is no status of an entry"))?;
    let hour: i64 = if words.take("at") { words.number("hour")? } else { 0 };
    let row_id = if words.take("row") { Some(id_of(words.next("row id")?).0) } else { None };
    let reference = reference(words)?;
    let reverses = if words.take("reverses") { Some(words.number("entry")?) } else { None };
    Ok(ImportEntry {
        receiver,
        source,
        kind,
        level,
        amount,
        status,
        time: Timestamp(hour * HOUR),
        row_id,
        reference,
        reverses,
    })
}

/// Returns a client's key, from words that stand for the hashes of key and content.
pub fn request_key(key: &str, content: &str) -> RequestKey {
    let fingerprint = content.bytes().fold(7, |sum: u64, byte| sum * 31 + u64::from(byte));
    RequestKey { key: id_of(key).0, fingerprint }
}

// --- plans

/// Parses the lines under `plan`. Defaults: width 3, breadth first, 15 levels, no bonuses, no ranks.
pub fn plan(lines: &[&str]) -> Result<Plan, Wrong> {
    let mut plan = Plan {
        name: "scenario".into(),
        currency: Currency { code: *b"XXX", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: Vec::new(),
            strategic: false,
        },
        count_sponsor_tree: false,
        level_cap: 15,
        bonuses: Vec::new(),
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds { tree: Tree::Placement, basis: RankBasis::Downline, steps: Vec::new() },
    };
    for line in lines {
        let words = &mut Words::of(line);
        match words.next("word")? {
            "name" => plan.name = words.next("name")?.into(),
            "currency" => {
                let letters = words.next("currency")?.as_bytes();
                plan.currency.code = letters.try_into().map_err(|_| "a currency has three letters")?;
                plan.currency.exponent = words.number("exponent")?;
            }
            "width" => plan.placement = placement(words)?,
            "count-sponsor-tree" => plan.count_sponsor_tree = true,
            "level-cap" => plan.level_cap = words.number("level cap")?,
            "bonus" => plan.bonuses.push(bonus(words)?),
            "ranks" => plan.ranks = ranks(words)?,
            word if orders::part_of_plan(word, words, &mut plan.commerce)? => {}
            other => return Err(format!("`{other}` is nothing that a plan has")),
        }
        words.end()?;
    }
    match plan.validate() {
        Ok(()) => Ok(plan),
        Err(errors) => Err(format!("not a valid plan: {errors:?}")),
    }
}

/// `width N|unlimited RULE [allow RULE ...] [strategic]`
fn placement(words: &mut Words) -> Result<Placement, Wrong> {
    let width = match words.next("width")? {
        "unlimited" => None,
        word => Some(word.parse().map_err(|_| format!("`{word}` is no width"))?),
    };
    let mut placement = Placement {
        width,
        default_rule: rule(words.next("rule")?)?,
        other_rules: Vec::new(),
        strategic: false,
    };
    for word in words.rest() {
        match word {
            "allow" => {}
            "strategic" => placement.strategic = true,
            name => placement.other_rules.push(rule(name)?),
        }
    }
    placement.other_rules.sort_unstable();
    Ok(placement)
}

/// `bonus TRIGGER TREE fixed AMOUNT ...|share PERCENT% ... [on-registration] [admins-beyond]`
fn bonus(words: &mut Words) -> Result<BonusRule, Wrong> {
    let trigger = words.next("trigger")?.into();
    let tree = tree(words.next("tree")?)?;
    let form = words.next("fixed or share")?;
    let (mut amounts, mut rates) = (Vec::new(), Vec::new());
    let (mut on_registration, mut admins_beyond) = (false, false);
    for word in words.rest() {
        match word {
            "on-registration" => on_registration = true,
            "admins-beyond" => admins_beyond = true,
            amount if form == "fixed" => amounts.push(money(amount)?),
            percent => {
                let digits =
                    percent.strip_suffix('%').ok_or_else(|| format!("`{percent}` is no percentage"))?;
                let rate: u32 = digits.parse().map_err(|_| format!("`{percent}` is no whole percentage"))?;
                rates.push(BasisPoints(rate * 100));
            }
        }
    }
    let pay = if form == "fixed" { LevelPay::Fixed(amounts) } else { LevelPay::Share(rates) };
    Ok(BonusRule { trigger, tree, pay, on_registration, admins_beyond })
}

/// `ranks thresholds TREE direct|downline NAME=MINIMUM[+REWARD] ...` or `ranks level-fill TREE
/// NAME=MINIMUM[+REWARD] ...`
fn ranks(words: &mut Words) -> Result<RankRule, Wrong> {
    let form = words.next("kind of ranks")?;
    let tree = tree(words.next("tree")?)?;
    let basis = match form {
        "thresholds" if words.take("direct") => Some(RankBasis::Direct),
        "thresholds" if words.take("downline") => Some(RankBasis::Downline),
        "level-fill" => None,
        _ => {
            return Err(
                "ranks are `thresholds TREE direct`, `thresholds TREE downline` or `level-fill TREE`".into(),
            );
        }
    };
    let steps: Vec<RankStep> = words.rest().into_iter().map(rank_step).collect::<Result<_, _>>()?;
    Ok(match basis {
        Some(basis) => RankRule::Thresholds { tree, basis, steps },
        None => RankRule::LevelFill { tree, steps },
    })
}

fn rank_step(word: &str) -> Result<RankStep, Wrong> {
    let (name, needs) =
        word.split_once('=').ok_or_else(|| format!("`{word}` is no rank like Bronze=3 or Silver=10+5.00"))?;
    let (minimum, reward) = match needs.split_once('+') {
        Some((minimum, reward)) => (minimum, Some(money(reward)?)),
        None => (needs, None),
    };
    let minimum = minimum.parse().map_err(|_| format!("`{minimum}` is no minimum"))?;
    Ok(RankStep { name: name.into(), minimum, reward })
}
