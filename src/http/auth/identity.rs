//! Names of principals: one name for each, and never the same name for two.
//!
//! Idempotency keys, limits, accounts and log lines belong to a principal by its name. A name therefore also
//! tells the kind of credential. Keys are named by their ids (`ulk_...`) and tokens by their subjects, as
//! before, since names are part of idempotency keys that are on disk; only a subject that could be mistaken
//! for another principal's name, or that is too long for the log, gets another name.

use std::sync::Arc;

use crate::{
    access::KEY_ID_PREFIX,
    engine::{ACTOR_ID_BYTES_MAX, MemberId},
};

/// Everybody, where authorization is off.
pub const ANONYMOUS: &str = "anonymous";
/// A client without credentials.
pub const NOBODY: &str = "nobody";
/// Prefix of a token's subject that would be mistaken for something else.
const TOKEN: &str = "token:";
/// Prefix of the hash of a subject that does not fit. No subject that only gets [`TOKEN`] begins with this.
const HASH: &str = "blake3:";
/// Prefix of the id of a member that asks for itself: it differs from a service whose subject is that id.
const MEMBER: &str = "member:";

/// The name of a member that asks for itself.
pub fn of_member(id: MemberId) -> Arc<str> {
    format!("{MEMBER}{id}").into()
}

/// The name of a token that is no member's. At most [`ACTOR_ID_BYTES_MAX`] bytes, and unique to each subject:
/// one that does not fit is identified by its hash, followed by its beginning for readers of logs.
pub fn of_token(subject: &str) -> Arc<str> {
    let is_reserved = [ANONYMOUS, NOBODY].contains(&subject)
        || [KEY_ID_PREFIX, TOKEN, MEMBER].iter().any(|prefix| subject.starts_with(prefix));
    let mark = if is_reserved { TOKEN } else { "" };
    if mark.len() + subject.len() <= ACTOR_ID_BYTES_MAX {
        return format!("{mark}{subject}").into();
    }
    let mut name = format!("{TOKEN}{HASH}{}:", blake3::hash(subject.as_bytes()).to_hex());
    name.push_str(&subject[..subject.floor_char_boundary(ACTOR_ID_BYTES_MAX - name.len())]);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn ordinary_subjects_are_called_what_they_are() {
        let longest = "x".repeat(ACTOR_ID_BYTES_MAX);
        for subject in [
            "nightly",
            "00000000-0000-0000-0000-000000000007",
            "auth0|7",
            "Anonymous",
            "ulk",
            "x ulk_1",
            "blake3:",
            longest.as_str(),
        ] {
            assert_eq!(&*of_token(subject), subject, "keys that were given are on disk under this name");
        }
    }

    #[test]
    fn no_two_principals_have_one_name() {
        let long = "x".repeat(ACTOR_ID_BYTES_MAX);
        let id = MemberId([7; 16]);
        let mut subjects: Vec<String> = [
            "",
            ANONYMOUS,
            NOBODY,
            "ulk_0123456789abcdef",
            "token:",
            "token:nobody",
            "token:ulk_0123456789abcdef",
            "blake3:",
        ]
        .iter()
        .map(|text| (*text).to_owned())
        .collect();
        subjects.extend([
            id.to_string(),
            format!("member:{id}"),
            long.clone(),
            format!("{long}a"),
            format!("{long}b"),
            "ä".repeat(65),
            "ä".repeat(66),
        ]);
        subjects.extend([
            format!("ulk_{}", &long[4..]),
            format!("token:{}", &long[6..]),
            format!("ulk_{}", &long[10..]),
        ]);
        // Names of other kinds are subjects too.
        for _ in 0..3 {
            let names: Vec<String> = subjects.iter().map(|subject| of_token(subject).to_string()).collect();
            subjects.extend(names);
            subjects.sort();
            subjects.dedup();
        }
        let others = [
            ANONYMOUS.to_owned(),
            NOBODY.to_owned(),
            "ulk_0123456789abcdef".to_owned(),
            of_member(id).to_string(),
        ];
        let mut named: HashMap<Arc<str>, &str> = HashMap::new();
        for subject in &subjects {
            let name = of_token(subject);
            assert!(name.len() <= ACTOR_ID_BYTES_MAX, "{name}");
            assert!(
                !others.contains(&name.to_string()),
                "{subject} is called as somebody with another credential"
            );
            assert_eq!(named.insert(Arc::clone(&name), subject), None, "{name} is {subject} too");
        }
    }
}
