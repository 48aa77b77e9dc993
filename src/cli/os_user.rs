//! The user who runs a command: the actor in the log for commands that write to a directory themselves.

use std::{fs, os::unix::fs::MetadataExt};

use crate::engine::{Actor, ActorKind};

/// Returns the operating system's user of this process. Taken from the process itself and not from its
/// environment, which can be set to anything.
pub(super) fn actor() -> Actor {
    let uid = fs::metadata("/proc/self").map(|process| process.uid()).ok();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    Actor::new(ActorKind::Cli, &uid.map_or_else(|| "unknown".into(), |uid| name_of(uid, &users)))
}

/// Returns the name of a user in the lines of `/etc/passwd`, or its number.
fn name_of(uid: u32, users: &str) -> String {
    let names = users.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    });
    names.map(str::to_owned).next().unwrap_or_else(|| format!("uid:{uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_its_name_or_its_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nanna:x:1000:1000::/home/anna:/bin/sh\n\
                     second:x:1000:1:::\n";
        // uid, name
        for (uid, name) in [(0, "root"), (1_000, "anna"), (7, "uid:7")] {
            assert_eq!(name_of(uid, users), name);
        }
        assert_eq!(actor().kind(), ActorKind::Cli);
        assert!(!actor().id().is_empty());
    }
}
