//! How a user or a file names a member: the one rule, for imports and for every command.
//!
//! A text names a member, in this order,
//!
//! 1. **by id**: a UUID in any of its forms is the id of a member.
//! 2. **by name**: any other text is the name under which a member was imported. Its id is the version-5 UUID
//!    of the name in lower case (ASCII letters) in [`NAME_NAMESPACE`]: names that differ only in case are the
//!    same name, in every file and command. Older releases derived the id from the spelling that came
//!    first; it stays the member's id, and a text that is exactly this spelling takes precedence.
//! 3. **by referral code**: an exact match, ignoring case; failing that, with O as 0 and I and L as 1, the
//!    only similar one. A UUID without a member is looked up among the codes too: such codes could be chosen
//!    before format 3.
//!
//! In an import a `sponsor` or `parent` cell that is the name of a member anywhere in the file means that
//! member, whether its row comes later or was refused; only text that is no name is a code. A `member` cell
//! is never matched against similar codes: such a name is new.
//!
//! Not found: another spelling of a name that cannot be a code (an e-mail address), has capital letters, and
//! was imported by a release that derived the id from the spelling. Of such names only the ids are kept.

use std::{collections::HashMap, fmt};

use uuid::Uuid;

use super::exit::{Exit, Failure};
use crate::core::{
    state::{Directory, State},
    types::{Code, MemberId, MemberIx},
};

/// Namespace of the ids derived from names: a member called `alice` or `Alice` gets the version-5 UUID of
/// `alice` in this namespace, which is itself the version-5 UUID of `members.upline` in the DNS namespace.
/// Never changes: other programs compute the same ids.
pub const NAME_NAMESPACE: Uuid = Uuid::from_u128(0x3f52_db3b_3a74_5127_9253_5d80_519d_a53c);

/// Maximum length of a name, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// How a text names a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Name {
    /// The id that the text is, or that is derived from exactly this spelling, as older releases did.
    pub id: MemberId,
    /// The id of a new member: the same, or derived from the text in lower case, for all spellings alike.
    pub key: MemberId,
    /// The text, if it is not a UUID.
    pub text: Option<Box<str>>,
}

/// The ids of a name: see [`Name`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ids {
    pub id: MemberId,
    pub key: MemberId,
}

/// A member that was found, and whether the cell spells its name differently than where it came first.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub member: MemberIx,
    pub respelled: bool,
}

/// Why a text names no member, whatever the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoName {
    /// Empty, too long, or with control characters.
    Text,
    /// The digits of a UUID in no form of one, such as braces around digits without hyphens. As a name it
    /// would be another member than the one that is meant.
    AlmostId,
}

/// Several members have codes similar to the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ambiguous;

fn id_of_name(text: &str) -> MemberId {
    MemberId(*Uuid::new_v5(&NAME_NAMESPACE, text.as_bytes()).as_bytes())
}

/// Whether a text consists of 32 hexadecimal digits, apart from hyphens, braces and the prefix of a UUID.
fn has_digits_of_id(text: &str) -> bool {
    const PREFIXES: [&str; 3] = ["urn:uuid:", "urn:", "uuid:"];
    let without = |prefix: &&str| {
        let is_there = text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
        is_there.then(|| &text[prefix.len()..])
    };
    let rest = PREFIXES.iter().find_map(without).unwrap_or(text);
    let mut others = rest.bytes().filter(|byte| !byte.is_ascii_hexdigit());
    others.all(|byte| b"-{}".contains(&byte))
        && rest.bytes().filter(u8::is_ascii_hexdigit).count() == 2 * size_of::<MemberId>()
}

/// Writes the text, or the UUID.
impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => out.write_str(text),
            None => Uuid::from_bytes(self.id.0).fmt(out),
        }
    }
}

impl Name {
    /// Parses a UUID in any of its forms, or any other text of 1 to 255 bytes.
    ///
    /// # Errors
    /// See [`NoName`].
    pub fn parse(text: &str) -> Result<Self, NoName> {
        if let Ok(id) = Uuid::try_parse(text) {
            let id = MemberId(*id.as_bytes());
            return Ok(Self { id, key: id, text: None });
        }
        if !(1..=NAME_BYTES_MAX).contains(&text.len()) || text.chars().any(char::is_control) {
            return Err(NoName::Text);
        }
        if has_digits_of_id(text) {
            return Err(NoName::AlmostId);
        }
        let id = id_of_name(text);
        let has_upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let key = if has_upper { id_of_name(&text.to_ascii_lowercase()) } else { id };
        Ok(Self { id, key, text: Some(text.into()) })
    }

    pub fn ids(&self) -> Ids {
        Ids { id: self.id, key: self.key }
    }

    /// Returns the name as the referral code of its member, if it can be one.
    pub fn code(&self) -> Option<Code> {
        self.text.as_deref().and_then(Code::parse)
    }

    /// Returns the codes that it may stand for: the text; for a UUID the two forms in a code's alphabet.
    pub fn codes(&self) -> impl Iterator<Item = Code> {
        let id = Uuid::from_bytes(self.id.0);
        let forms = match self.text {
            Some(_) => [self.code(), None],
            None => [Code::parse(&id.hyphenated().to_string()), Code::parse(&id.simple().to_string())],
        };
        forms.into_iter().flatten()
    }

    /// Finds by id or by name (1 and 2).
    pub fn named(&self, state: &State, directory: &impl Directory) -> Option<MemberIx> {
        let by_key = || (self.key != self.id).then(|| state.find(directory, &self.key))?;
        // An older release derived the id from another spelling, which is still known if it is the code.
        let kept = || {
            let owner = state.member_by_code(directory, &Code::parse(self.text.as_deref()?)?)?;
            (id_of_name(state.code(owner).as_str()) == state.id(owner)).then_some(owner)
        };
        state.find(directory, &self.id).or_else(by_key).or_else(kept)
    }

    /// Whether it spells a member's name differently than where that came first in a file, and is not exactly
    /// the member's code. `first` is the id derived from that spelling; of a name that is not in the file,
    /// only the code shows how it was spelled.
    pub fn respells(&self, state: &State, member: MemberIx, first: Option<MemberId>) -> bool {
        let Some(text) = self.text.as_deref() else { return false };
        match first {
            Some(first) => first != self.id && text != state.code(member).as_str(),
            // The spelling from which an older release derived the id.
            None if self.id != self.key && state.id(member) == self.id => false,
            None => {
                let code = state.code(member);
                text != code.as_str() && text.eq_ignore_ascii_case(code.as_str())
            }
        }
    }

    /// Finds by exact code, ignoring case.
    pub fn by_exact_code(&self, state: &State, directory: &impl Directory) -> Option<MemberIx> {
        self.codes().find_map(|code| state.member_by_code(directory, &code))
    }

    /// Finds by an exact or similar code (3).
    pub fn by_code(&self, state: &State, directory: &impl Directory) -> Result<Option<MemberIx>, Ambiguous> {
        for code in self.codes() {
            if let Some(owner) = state.look_up_code(directory, &code).map_err(|_| Ambiguous)? {
                return Ok(Some(owner));
            }
        }
        Ok(None)
    }

    /// Returns the text as written.
    pub fn shown(&self) -> String {
        self.text.as_deref().map_or_else(|| self.id.to_string(), str::to_string)
    }
}

/// Returns the member that a text names.
///
/// # Errors
/// `Unknown` when no member matches, or several do.
pub(super) fn find_member(
    state: &State,
    directory: &impl Directory,
    text: &str,
) -> Result<MemberIx, Failure> {
    let Ok(name) = Name::parse(text) else { return Err(unknown_member(text)) };
    if let Some(member) = name.named(state, directory) {
        return Ok(member);
    }
    match name.by_code(state, directory) {
        Ok(Some(member)) => Ok(member),
        Ok(None) => Err(unknown_member(text)),
        Err(Ambiguous) => Err(Failure::new(
            Exit::Unknown,
            format!("member {text} is not known, and several referral codes are like it"),
        )),
    }
}

/// The failure when no member has this id, name or code.
pub(super) fn unknown_member(text: &str) -> Failure {
    Failure::new(Exit::Unknown, format!("member {text} is not known"))
}

/// Returns the paths under `/v1/members/` where a server may know the member that a text names, in the order
/// of the rule.
pub(super) fn server_paths(text: &str) -> Vec<String> {
    let Ok(name) = Name::parse(text) else { return Vec::new() };
    let ids = if name.key == name.id { vec![name.id] } else { vec![name.id, name.key] };
    let codes = name.codes().map(|code| format!("by-code/{}", code.as_str()));
    ids.iter().map(MemberId::to_string).chain(codes).collect()
}

/// The names in a member file, for the files read after it.
#[derive(Default)]
pub(super) struct FileNames {
    /// By the key of their names, the file's members that have another id, or are spelled in another case.
    pub spelled: HashMap<MemberId, Spelled>,
    /// Lines of members that were refused, by the key of their names.
    pub refused: HashMap<MemberId, u64>,
}

/// How a file names a member.
#[derive(Clone, Copy)]
pub(super) struct Spelled {
    pub member: MemberId,
    /// The id derived from the spelling that came first.
    pub first: MemberId,
}

impl FileNames {
    /// Finds by id or by name, as [`Name::named`], and as the file spells it.
    pub fn named(&self, name: &Name, state: &State, directory: &impl Directory) -> Option<MemberIx> {
        name.named(state, directory)
            .or_else(|| self.spelled.get(&name.key).and_then(|file| state.find(directory, &file.member)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ids_or_make_ids() {
        let uuid = "00010203-0405-0607-0809-0a0b0c0d0eff";
        for form in [
            uuid,
            &uuid.to_uppercase(),
            &uuid.replace('-', ""),
            &format!("{{{uuid}}}"),
            &format!("urn:uuid:{uuid}"),
        ] {
            let name = Name::parse(form).unwrap();
            assert_eq!(
                (name.id.to_string().as_str(), name.code(), name.key),
                (uuid, None, name.id),
                "{form}"
            );
            let codes: Vec<String> = name.codes().map(Code::into_string).collect();
            assert_eq!(codes, [uuid.to_string(), uuid.replace('-', "")], "{form}");
        }
        let simple = uuid.replace('-', "");
        for almost in [
            format!("{{{simple}}}"),
            format!("urn:uuid:{simple}"),
            format!("urn:uuid:{{{uuid}}}"),
            format!("uuid:{uuid}"),
            format!("{{{uuid}"),
            format!("{}-{}", &simple[..16], &simple[16..]),
        ] {
            assert_eq!(Name::parse(&almost), Err(NoName::AlmostId), "{almost}");
        }
        for name in [&simple[1..], "uuid:alice", "{}", "urn:uuid:", &format!("x{simple}"), "uuid\u{e9}"] {
            assert!(Name::parse(name).is_ok_and(|name| name.text.is_some()), "{name}");
        }
        let alice = Name::parse("alice").unwrap();
        assert_eq!(alice.id.to_string(), "2962ef90-c4ec-509d-9762-d392726c79e0");
        assert_eq!(alice.code(), Code::parse("alice"));
        let capital = Name::parse("Alice").unwrap();
        assert_ne!(alice.id, capital.id);
        assert_eq!((alice.key, capital.key), (alice.id, alice.id));
        assert_eq!(Name::parse("alice@example.com").unwrap().code(), None);
        for text in ["", &"x".repeat(256), "a\tb"] {
            assert_eq!(Name::parse(text), Err(NoName::Text), "{text:?}");
        }
    }

    #[test]
    fn a_server_is_asked_in_the_order_of_the_rule() {
        let id = |text: &str| Name::parse(text).unwrap().id.to_string();
        assert_eq!(server_paths("Bob-1"), [id("Bob-1"), id("bob-1"), "by-code/Bob-1".into()]);
        assert_eq!(server_paths("a@b"), [id("a@b")]);
        let uuid = "00010203-0405-0607-0809-0a0b0c0d0eff";
        let simple = uuid.replace('-', "");
        assert_eq!(
            server_paths(uuid),
            [uuid.to_string(), format!("by-code/{uuid}"), format!("by-code/{simple}")]
        );
        assert_eq!(server_paths(""), Vec::<String>::new());
    }
}
