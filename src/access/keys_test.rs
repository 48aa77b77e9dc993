use std::os::unix::fs::PermissionsExt;

use super::*;

const NOW: i64 = 1_800_000_000;

fn make(name: &str, expires: Option<i64>) -> NewKey {
    ServiceKey::random(name, Role::Service, Scopes::GATEWAY, NOW, expires).unwrap()
}

fn file() -> (tempfile::TempDir, KeyFile) {
    let directory = tempfile::tempdir().unwrap();
    let file = KeyFile::of(&directory.path().join("a/b"));
    (directory, file)
}

#[test]
fn keys_open_while_they_are_active_and_with_their_own_secret_only() {
    let (_keep, file) = file();
    assert_eq!(file.load().unwrap(), None, "no file is not an empty file");
    let (first, second) = (make("gateway", None), make("nightly", Some(NOW + 10)));
    for made in [&first, &second] {
        file.add(made.key.clone(), NOW).unwrap();
    }
    let ring = file.load().unwrap().unwrap();
    assert_eq!(ring.iter().cloned().collect::<Vec<_>>(), [first.key.clone(), second.key.clone()]);
    assert_eq!(ring.check(&first.key.id, &first.secret, NOW), Ok(&first.key));
    assert_eq!(ring.check(&first.key.id, &second.secret, NOW), Err(KeyRefusal::WrongSecret));
    assert_eq!(
        ring.check(&first.key.id, &first.secret[..first.secret.len() - 1], NOW),
        Err(KeyRefusal::WrongSecret)
    );
    assert_eq!(ring.check(&first.key.id, "", NOW), Err(KeyRefusal::WrongSecret));
    assert_eq!(ring.check("ulk_0000000000000000", &first.secret, NOW), Err(KeyRefusal::Unknown));
    assert_eq!(ring.check("", "", NOW), Err(KeyRefusal::Unknown));
    assert_eq!(ring.check(&"x".repeat(1_000), &first.secret, NOW), Err(KeyRefusal::Unknown));
    assert_eq!(ring.check(&second.key.id, &second.secret, NOW + 9), Ok(&second.key));
    assert_eq!(ring.check(&second.key.id, &second.secret, NOW + 10), Err(KeyRefusal::Expired));
    assert_eq!((ring.active(NOW), ring.active(NOW + 10)), (2, 1));

    let revoked = file.revoke(&first.key.id, NOW + 1).unwrap().unwrap();
    assert_eq!((revoked.revoked, revoked.status(NOW + 1)), (Some(NOW + 1), KeyStatus::Revoked));
    assert_eq!(
        file.revoke(&first.key.id, NOW + 5).unwrap().unwrap().revoked,
        Some(NOW + 1),
        "the first time stays"
    );
    assert_eq!(file.revoke("ulk_0000000000000000", NOW).unwrap(), None);
    let ring = file.load().unwrap().unwrap();
    assert_eq!(ring.check(&first.key.id, &first.secret, NOW + 1), Err(KeyRefusal::Revoked));
    assert!(ring.check(&second.key.id, &second.secret, NOW + 1).is_ok(), "others go on");
}

#[test]
fn the_file_holds_no_secret_and_is_nobody_else_s() {
    let (_keep, file) = file();
    let made = make("gateway", None);
    file.add(made.key, NOW).unwrap();
    let text = fs::read_to_string(file.path()).unwrap();
    assert!(!text.contains(&made.secret) && !text.contains(made.secret.strip_prefix(SECRET_PREFIX).unwrap()));
    assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&file.directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(made.secret.len(), SECRET_PREFIX.len() + 43, "256 bits");
}

#[test]
fn every_changed_byte_is_found() {
    let (_keep, file) = file();
    file.add(make("gateway", Some(NOW)).key, NOW).unwrap();
    let good = fs::read(file.path()).unwrap();
    for at in 0..good.len() {
        for flip in [1, 0x20] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            fs::write(file.path(), &bad).unwrap();
            assert!(file.load().is_err(), "byte {at} of {}", String::from_utf8_lossy(&bad));
        }
        fs::write(file.path(), &good[..at]).unwrap();
        assert!(matches!(file.load(), Err(KeyFileError::Damaged { .. })), "cut at {at}");
    }
    fs::write(file.path(), String::from_utf8(good).unwrap().replacen(" 1 ", " 2 ", 1)).unwrap();
    assert!(matches!(file.load(), Err(KeyFileError::Newer { version: 2, .. })));
    assert!(
        matches!(file.add(make("x", None).key, NOW), Err(KeyFileError::Newer { .. })),
        "never written over"
    );
    fs::write(file.path(), vec![b'x'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
    assert!(matches!(file.load(), Err(KeyFileError::Damaged { .. })));
}

/// The specified format must not change: a file of version 1 as the first release wrote it.
#[test]
fn version_one_is_read_as_it_was_written() {
    let body = "{\"keys\":[{\"id\":\"ulk_0011223344556677\",\"name\":\"gateway\",\"role\":\"service\",\
                \"scopes\":[\"members:read\"],\"hash\":\"HASH\",\"created\":1800000000,\"expires\":null,\
                \"revoked\":null}]}\n";
    let secret = "uls_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let hash = blake3::derive_key(
        "upline 2026-11 service key secret v1",
        format!("ulk_0011223344556677\0{secret}").as_bytes(),
    );
    let body = body.replace("HASH", &hex(&hash));
    let text = format!("upline-keys 1 {}\n{body}", blake3::hash(body.as_bytes()).to_hex());
    let ring = parse(Path::new("keys"), &text).unwrap();
    let key = ring.check("ulk_0011223344556677", secret, NOW).unwrap();
    assert_eq!((key.role, key.scopes.iter().collect::<Vec<_>>()), (Role::Service, vec![Scope::MembersRead]));
    assert_eq!(print(&ring.keys), text);
}

#[test]
fn a_full_file_forgets_spent_keys_first() {
    let (_keep, file) = file();
    file.add(make("spent", Some(NOW)).key, NOW).unwrap();
    let keys: Vec<_> =
        (0..KEYS_MAX - 1).map(|number| Arc::new(make(&format!("key {number}"), None).key)).collect();
    file.change(|all| {
        all.extend(keys);
        Ok(())
    })
    .unwrap();
    file.add(make("one more", None).key, NOW).unwrap();
    let ring = file.load().unwrap().unwrap();
    assert_eq!((ring.keys.len(), ring.iter().next().unwrap().name.as_str()), (KEYS_MAX, "key 0"));
    assert!(matches!(file.add(make("too many", None).key, NOW), Err(KeyFileError::Full)));
}

#[test]
fn many_commands_at_once_lose_nothing() {
    let (_keep, file) = file();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let file = &file;
            scope.spawn(move || {
                (0..10)
                    .for_each(|number| file.add(make(&format!("{thread}.{number}"), None).key, NOW).unwrap());
            });
        }
    });
    assert_eq!(file.load().unwrap().unwrap().keys.len(), 40);
}

#[test]
fn names_are_plain() {
    for good in ["gateway", "Gateway 2", "a/b_c.d-e", &"x".repeat(NAME_CHARS_MAX)] {
        assert!(is_name(good), "{good}");
    }
    for bad in ["", " a", "a\n", "ü", "a@b", &"x".repeat(NAME_CHARS_MAX + 1)] {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn keys_of_one_name_and_role_are_one_client() {
    let (_keep, file) = file();
    let admin = ServiceKey::random("gateway", Role::Admin, Scopes::NONE, NOW, None).unwrap();
    let (first, other, next) = (make("gateway", None), make("nightly", None), make("gateway", None));
    for made in [&first, &admin, &other, &next] {
        file.add(made.key.clone(), NOW).unwrap();
    }
    file.revoke(&first.key.id, NOW).unwrap();
    let ring = file.load().unwrap().unwrap();
    let clients = [&first, &admin, &other, &next].map(|made| ring.client_of(&made.key).to_string());
    let ids = [&first, &admin, &other, &first].map(|made| made.key.id.to_string());
    assert_eq!(clients, ids, "that of the first one, also after it was revoked");
}
