use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;

fn sources(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Sources {
    Sources {
        flags: flags.iter().map(|(key, text)| (*key, (*text).to_string())).collect(),
        environment: environment
            .iter()
            .map(|(name, text)| ((*name).to_string(), (*text).to_string()))
            .collect(),
        ..Sources::default()
    }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("upline.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

#[test]
fn defaults_need_nothing() {
    let config = Config::resolve(&Sources::default()).unwrap();
    assert_eq!(config.addr, SocketAddr::from(([127, 0, 0, 1], 8000)));
    assert_eq!(config.data_dir, Path::new("snapshots/live"));
    assert_eq!((config.plan, config.max_children), (None, None));
    assert_eq!(config.snapshot_every_commands, Some(1_000_000));
    assert_eq!(config.snapshot_every, Some(Duration::from_secs(900)));
    assert_eq!(config.segment_bytes, SEGMENT_BYTES_DEFAULT);
    assert_eq!(config.http, HttpConfig::default());
    assert!(config.given.iter().all(|given| given.origin == Origin::Default));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let (_keep, path) = file(
        "addr = \"127.0.0.1:1\"\ndata_dir = \"from-file\"\nsnapshot_every_seconds = 60\ntest_data = true\n",
    );
    let mut from = sources(
        &[("addr", "127.0.0.1:3")],
        &[("UPLINE_ADDR", "127.0.0.1:2"), ("UPLINE_DATA_DIR", "from-env")],
    );
    from.config_file = Some(path.clone());
    let config = Config::resolve(&from).unwrap();
    assert_eq!(config.addr.port(), 3);
    assert_eq!(config.data_dir, Path::new("from-env"));
    assert_eq!(config.snapshot_every, Some(Duration::from_secs(60)));
    assert!(config.http.test_data);
    let origin = |key: &str| config.given.iter().find(|given| given.key == key).unwrap().origin.to_string();
    assert_eq!(origin("addr"), "--addr");
    assert_eq!(origin("data_dir"), "environment UPLINE_DATA_DIR");
    assert_eq!(origin("snapshot_every_seconds"), format!("{} line 3", path.display()));
    assert_eq!(origin("plan"), "default");
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let (_keep, path) = file("data_dir = \"here\"\n");
    let config = Config::resolve(&sources(&[], &[("UPLINE_CONFIG", path.to_str().unwrap())])).unwrap();
    assert_eq!(config.data_dir, Path::new("here"));
}

#[test]
fn what_is_wrong_is_named_with_its_origin() {
    // key, text, part of the error
    let table = [
        (
            "addr",
            "localhost",
            "addr: `localhost` is not an address such as 127.0.0.1:8000 or localhost:8000 (from --addr)",
        ),
        ("addr", ":8000", "addr: `:8000` is not an address"),
        ("addr", "localhost:80000", "addr: `localhost:80000` is not an address"),
        ("addr", "no such host:8000", "addr: `no such host:8000` cannot be looked up"),
        ("none_parent_is_null", "None", "none_parent_is_null: `None` is neither true nor false"),
        ("insecure", "perhaps", "insecure: `perhaps` is neither true nor false"),
        ("data_dir", "", "data_dir: `` must not be empty"),
        ("max_children", "0", "max_children: `0` must be between 1 and 1000"),
        ("max_children", "70000", "max_children: `70000` must be between 1 and 1000"),
        ("max_children", "three", "max_children: `three` is not a whole number"),
        ("snapshot_every_commands", "10", "snapshot_every_commands: `10` must be between 1000"),
        ("snapshot_every_seconds", "1", "snapshot_every_seconds: `1` must be between 10"),
        ("segment_bytes", "4096", "segment_bytes: `4096` must be between 1M and 256M"),
        ("segment_bytes", "1G", "segment_bytes: `1G` must be between 1M and 256M"),
        (
            "segment_bytes",
            "64MB",
            "segment_bytes: `64MB` is not a size: a whole number of bytes, or one with K, M, \
             G or T behind it, such as 64M",
        ),
        ("log_retention_bytes", "10 G", "log_retention_bytes: `10 G` is not a size"),
        (
            "log_retention_bytes",
            "99999999T",
            "log_retention_bytes: `99999999T` is more bytes than there are numbers for",
        ),
        ("clock_jump_max", "9", "clock_jump_max: `9` must be between 10 and 86400"),
        ("clock_jump_max", "86401", "clock_jump_max: `86401` must be between 10 and 86400"),
        ("clock_jump_max", "off", "clock_jump_max: `off` is not a whole number"),
        ("log_retention_days", "-1", "log_retention_days: `-1` is not a whole number"),
        ("segment_bytes", "1000000000", "segment_bytes: `1000000000` must be between 1M and 256M"),
        ("connections_max", "0", "connections_max: `0` must be between 1"),
        ("drain_seconds", "1e3", "drain_seconds: `1e3` is not a whole number"),
        ("log_format", "xml", "log_format: `xml` is not one of auto, text, json"),
        ("log", "a=b=c", "log: `a=b=c` is not a filter"),
    ];
    for (key, text, expected) in table {
        let ConfigError(errors) = Config::resolve(&sources(&[(key, text)], &[])).unwrap_err();
        assert!(errors.len() == 1 && errors[0].starts_with(expected), "{key} {text}: {errors:?}");
    }
}

#[test]
fn all_errors_come_at_once() {
    let (_keep, path) = file("adr = \"127.0.0.1:1\"\nplan = [1]\n");
    let mut from = sources(&[("segment_bytes", "1")], &[("UPLINE_LOG_FORMAT", "xml")]);
    from.config_file = Some(path);
    let ConfigError(errors) = Config::resolve(&from).unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].contains("line 1: adr: is not known here"), "{errors:?}");
    assert!(errors[1].contains("line 2: plan: must be a string"), "{errors:?}");
}

#[test]
fn a_missing_file_is_an_error() {
    let from = Sources { config_file: Some("no/such/file.toml".into()), ..Sources::default() };
    let error = Config::resolve(&from).unwrap_err().to_string();
    assert!(error.contains("cannot read no/such/file.toml"), "{error}");
}

#[test]
fn zero_switches_periods_off_and_insecure_opens_the_address() {
    let flags = [
        ("snapshot_every_commands", "0"),
        ("snapshot_every_seconds", "0"),
        ("insecure", "true"),
        ("addr", "0.0.0.0:11000"),
    ];
    let config = Config::resolve(&sources(&flags, &[])).unwrap();
    assert_eq!((config.snapshot_every_commands, config.snapshot_every), (None, None));
    let jump =
        |text: &str| Config::resolve(&sources(&[("clock_jump_max", text)], &[])).unwrap().clock_jump_max;
    assert_eq!(
        (jump("0"), jump("10"), jump("86400")),
        (None, Some(Duration::from_secs(10)), Some(Duration::from_hours(24)))
    );
    assert_eq!(
        Config::resolve(&sources(&[], &[])).unwrap().clock_jump_max,
        Some(crate::engine::limits::CLOCK_JUMP_MAX)
    );
    assert_eq!(config.addr.port(), 11_000);
}

#[test]
fn an_address_may_be_a_name() {
    // Needs no name server: every machine can resolve itself.
    let config = Config::resolve(&sources(&[("addr", "localhost:8123")], &[])).unwrap();
    assert!(config.addr.ip().is_loopback());
    assert_eq!(config.addr.port(), 8_123);
    // Literal addresses are not looked up, and keep their family.
    let config = Config::resolve(&sources(&[("addr", "[::1]:8123")], &[])).unwrap();
    assert!(config.addr.is_ipv6());
}

#[test]
fn the_environment_of_the_original_is_accepted() {
    let environment = [
        ("MAX_CHILDREN", "5"),
        ("DB_URL", "postgresql://x"),
        ("REDIS_ENABLED", "true"),
        ("UPLINE_SERVICE_HOST", "10.0.0.1"),
        ("UPLINE_API_KEY", "k"),
    ];
    let config = Config::resolve(&sources(&[], &environment)).unwrap();
    assert_eq!(config.max_children, Some(5));
    assert_eq!(
        config.warnings,
        [
            "ignored, since there is no database and no cache: DB_URL, REDIS_ENABLED",
            "ignored, not a setting: UPLINE_SERVICE_HOST",
        ]
    );
    let both = [("MAX_CHILDREN", "5"), ("UPLINE_MAX_CHILDREN", "4")];
    assert_eq!(Config::resolve(&sources(&[], &both)).unwrap().max_children, Some(4));
    let ConfigError(errors) = Config::resolve(&sources(&[], &[("MAX_CHILDREN", "many")])).unwrap_err();
    assert_eq!(errors, ["max_children: `many` is not a whole number (from environment MAX_CHILDREN)"]);
}

#[test]
fn one_kind_of_retention_at_a_time() {
    let retention = |flags: &[(&'static str, &str)]| {
        Config::resolve(&sources(flags, &[])).map(|config| config.log_retention)
    };
    assert_eq!(retention(&[]), Ok(LogRetention::All));
    assert_eq!(retention(&[("log_retention_bytes", "1000")]), Ok(LogRetention::Bytes(1_000)));
    assert_eq!(retention(&[("log_retention_days", "30")]), Ok(LogRetention::Days(30)));
    let ConfigError(errors) =
        retention(&[("log_retention_days", "30"), ("log_retention_bytes", "1")]).unwrap_err();
    assert_eq!(
        errors,
        ["log_retention_days: `30` cannot be combined with log_retention_bytes (from --log-retention-days)"]
    );
}

#[test]
fn the_shipped_file_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/upline.toml");
    let config = Config::resolve(&Sources { config_file: Some(path), ..Sources::default() }).unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/upline/live"));
    assert_eq!(config.log_format, LogFormat::Json);
}

#[test]
fn sizes_have_letters_wherever_they_come_from() {
    let (_keep, path) = file("segment_bytes = \"16M\"\n");
    let segment = |from: &Sources| Config::resolve(from).map(|config| config.segment_bytes);
    let of_file = Sources { config_file: Some(path), ..Sources::default() };
    assert_eq!(segment(&of_file), Ok(16 << 20));
    assert_eq!(
        segment(&Sources {
            config_file: of_file.config_file.clone(),
            ..sources(&[], &[("UPLINE_SEGMENT_BYTES", "2048K")])
        }),
        Ok(2 << 20)
    );
    assert_eq!(
        segment(&sources(&[("segment_bytes", "4M")], &[("UPLINE_SEGMENT_BYTES", "2048K")])),
        Ok(4 << 20)
    );
    let (_keep, path) = file("segment_bytes = 8388608\nlog_retention_bytes = \"10G\"\n");
    let config = Config::resolve(&Sources { config_file: Some(path), ..Sources::default() }).unwrap();
    assert_eq!((config.segment_bytes, config.log_retention), (8 << 20, LogRetention::Bytes(10 << 30)));
}

#[test]
fn where_no_data_directory_is_named_there_must_be_a_place_for_one() {
    let place = tempfile::tempdir().unwrap();
    let at = |environment: &[(&str, &str)]| Sources {
        working_dir: place.path().into(),
        ..sources(&[], environment)
    };
    let data_dir = |from: &Sources| Config::resolve(from).map(|config| config.data_dir);
    assert_eq!(data_dir(&at(&[("HOME", "/home/anna")])), Ok("/home/anna/.local/state/upline".into()));
    assert_eq!(data_dir(&at(&[("HOME", "/home/anna"), ("UPLINE_DATA_DIR", "here")])), Ok("here".into()));
    let ConfigError(errors) = data_dir(&at(&[])).unwrap_err();
    assert!(errors.len() == 1 && errors[0].starts_with("data_dir: `` has no default here"), "{errors:?}");
    assert!(errors[0].contains("--data-dir"), "{errors:?}");
}
