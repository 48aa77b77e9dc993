//! The columns `market`, `owner` and `tags`: attributes of a member, as the plan declares them.
//!
//! Tags are separated by `;`, each a name, or `name@from/until` where it has a bound. An empty cell says
//! nothing. What the network lacks is added with and without `--update`, which completes an import that died
//! between a member and its attributes; another value is replaced with `--update` alone. Nothing is taken
//! away.
//!
//! An owner may stand anywhere in the file, also below the member, so owners are set at the end of it.

use super::{reading::Reading, refusal::Refusal, visible::visible};
use crate::{
    cli::{names::Name, network::Network},
    core::{
        MemberAttributes, MemberTag,
        command::{ATTRIBUTE_CHANGES_MAX, AttributeChange, Command, Rejection, SetAttributes},
        state::State,
        types::{MemberIx, Timestamp},
    },
};

/// What a row says of attributes; mostly nothing.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Attributes(Option<Box<Said>>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    market: Option<Box<str>>,
    owner: Option<Name>,
    tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Tag {
    name: Box<str>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// How what a row says stands to what the network holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stands {
    Lacking,
    Same,
    Other,
}

impl Attributes {
    /// Parses the cells of market and tags; the owner is read as other members are.
    ///
    /// # Errors
    /// A tag that is none, or twice, and a time that is none.
    pub fn parse(market: &str, owner: Option<Name>, tags: &str, reading: &Reading) -> Result<Self, Refusal> {
        if market.is_empty() && owner.is_none() && tags.is_empty() {
            return Ok(Self::default());
        }
        let words = tags.split(';').map(str::trim).filter(|word| !word.is_empty());
        let tags = words.map(|word| Tag::parse(word, reading)).collect::<Result<Vec<Tag>, Refusal>>()?;
        for (at, tag) in tags.iter().enumerate() {
            if tags[..at].iter().any(|earlier| earlier.name == tag.name) {
                return Err(Refusal::BadTag(tag.name.to_string()));
            }
        }
        let market = (!market.is_empty()).then(|| market.into());
        Ok(Self(Some(Box::new(Said { market, owner, tags }))))
    }

    /// Checks the names before anything of the row is imported.
    ///
    /// # Errors
    /// A name that the plan does not have, a tag that never holds, an owner who is not known.
    pub fn judge(&self, state: &State, is_known: impl Fn(&Name) -> bool) -> Result<(), Refusal> {
        let Some(said) = &self.0 else { return Ok(()) };
        said.changes(state)?;
        match &said.owner {
            Some(_) if !state.plan().commerce.has_owners => Err(Refusal::Rule(Rejection::AttributeUnknown)),
            Some(owner) if !is_known(owner) => Err(Refusal::UnknownMember(owner.shown())),
            _ => Ok(()),
        }
    }

    /// The owner whom the row names.
    pub fn owner(&self) -> Option<&Name> {
        self.0.as_ref()?.owner.as_ref()
    }

    /// Sets market and tags: those that the network lacks and, if `replaces`, those that differ.
    ///
    /// # Errors
    /// A rule refuses it.
    pub fn set(&self, network: &mut Network, member: MemberIx, replaces: bool) -> Result<(), Refusal> {
        let Some(said) = &self.0 else { return Ok(()) };
        let held = network.state.attributes(member, None);
        let mut changes = said.changes(&network.state)?;
        changes.retain(|change| match stands(&held, change) {
            Stands::Lacking => true,
            Stands::Same => false,
            Stands::Other => replaces,
        });
        set(network, member, &changes)
    }

    /// Describes how market and tags differ from what the network holds, to complete a sentence.
    pub fn difference(&self, state: &State, there: MemberIx) -> Option<String> {
        let held = state.attributes(there, None);
        let changes = self.0.as_ref()?.changes(state).ok()?;
        let differs = |change: &AttributeChange| match change {
            _ if stands(&held, change) != Stands::Other => None,
            AttributeChange::Tag { tag, .. } => {
                let name = &state.plan().commerce.member_tags[usize::from(*tag)];
                Some(format!("its tag {} holds at other times", visible(name)))
            }
            _ => Some("its market is another".into()),
        };
        let differences: Vec<String> = changes.iter().filter_map(differs).collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

impl Said {
    /// Market and tags as changes.
    fn changes(&self, state: &State) -> Result<Vec<AttributeChange>, Refusal> {
        let commerce = &state.plan().commerce;
        let position = |names: &[Box<str>], name: &str, unknown: Rejection| {
            let found = names.iter().position(|known| **known == *name);
            found.and_then(|at| u16::try_from(at).ok()).ok_or(Refusal::Rule(unknown))
        };
        let mut changes = Vec::new();
        if let Some(name) = &self.market {
            let market = position(&commerce.markets, name, Rejection::MarketUnknown)?;
            changes.push(AttributeChange::Market(Some(market)));
        }
        for Tag { name, from, until } in &self.tags {
            let tag = position(&commerce.member_tags, name, Rejection::AttributeUnknown)?;
            if from.zip(*until).is_some_and(|(from, until)| until <= from) {
                return Err(Refusal::Rule(Rejection::AttributeMalformed));
            }
            changes.push(AttributeChange::Tag { tag, from: *from, until: *until, set: true });
        }
        Ok(changes)
    }
}

impl Tag {
    fn parse(word: &str, reading: &Reading) -> Result<Self, Refusal> {
        let bad = || Refusal::BadTag(word.into());
        let (name, bounds) = word.split_once('@').map_or((word, None), |(name, rest)| (name, Some(rest)));
        let (from, until) = match bounds {
            Some(bounds) => bounds.split_once('/').ok_or_else(bad)?,
            None => ("", ""),
        };
        let time = |cell: &str| if cell.is_empty() { Ok(None) } else { reading.time(cell).map(Some) };
        if name.is_empty() {
            return Err(bad());
        }
        Ok(Self { name: name.into(), from: time(from)?, until: time(until)? })
    }
}

fn stands(held: &MemberAttributes, change: &AttributeChange) -> Stands {
    let compare = |is_there: bool, is_same: bool| match (is_there, is_same) {
        (false, _) => Stands::Lacking,
        (true, true) => Stands::Same,
        (true, false) => Stands::Other,
    };
    match *change {
        AttributeChange::Market(market) => compare(held.market.is_some(), held.market == market),
        AttributeChange::Tag { tag, from, until, .. } => {
            let held = held.tags.iter().find(|held| held.tag == tag);
            compare(held.is_some(), held == Some(&MemberTag { tag, from, until }))
        }
        // Owners are compared where they are set.
        AttributeChange::Owner(_) => Stands::Same,
    }
}

fn set(network: &mut Network, member: MemberIx, changes: &[AttributeChange]) -> Result<(), Refusal> {
    let member = network.state.id(member);
    for changes in changes.chunks(ATTRIBUTE_CHANGES_MAX) {
        let set = SetAttributes { member, changes: changes.to_vec(), effective: None };
        network.apply(Command::SetAttributes(Box::new(set))).map_err(Refusal::Rule)?;
    }
    Ok(())
}

/// Sets the owner of a member, if the network has no other or `replaces`. Returns whether it has another, and
/// keeps that.
///
/// # Errors
/// The owner is not known, or a rule refuses it.
pub(super) fn set_owner(
    network: &mut Network,
    member: MemberIx,
    owner: &Name,
    replaces: bool,
) -> Result<bool, Refusal> {
    let Network { state, directory, names, .. } = &*network;
    let found = names.named(owner, state, directory).or_else(|| owner.by_exact_code(state, directory));
    let found = found.ok_or_else(|| Refusal::UnknownMember(owner.shown()))?;
    let held = state.attributes(member, None).owner;
    let keeps_other = held != member && held != found && !replaces;
    if held != found && !keeps_other {
        let owner = state.id(found);
        set(network, member, &[AttributeChange::Owner(Some(owner))])?;
    }
    Ok(keeps_other)
}
