//! Runs the corpus in `fuzz/corpus/` through every target, along with small mutations of each of its files.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use rand_pcg::{
    Pcg64,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::json;

use super::{BASE, TARGETS, Target, edited};
use crate::{
    core::{command::Stamped, types::Timestamp},
    durability::encode_group,
    http::{self, fuzzing::signed},
    plan_file,
};

/// Mutations of each file, unless `UPLINE_FUZZ_MUTATIONS` says otherwise.
const MUTATIONS: u64 = 12;
/// Limit on the corpus, so that the tree stays small and the tests fast.
const FILES_MAX: usize = 200;
const BYTES_MAX: u64 = 1 << 20;
/// Limit on the bytes of a mutated input: files of a corpus are shorter.
const INPUT_BYTES_MAX: usize = 32 << 10;
/// Limit on failures that are printed; all are counted.
const TOLD_MAX: usize = 10;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// Returns the files of a target, by name.
fn files(target: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = corpus().join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect()
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn the_corpus_and_changes_of_it_hold() {
    let (seed, mutations) = (number("UPLINE_SEED", 1), number("UPLINE_FUZZ_MUTATIONS", MUTATIONS));
    println!("UPLINE_SEED={seed} UPLINE_FUZZ_MUTATIONS={mutations}");
    let (mut inputs, mut changed, mut accepted, mut failures) = (0_u64, 0_u64, 0_u64, Vec::new());
    for (name, target) in TARGETS {
        let files = files(name);
        let all: Vec<&Vec<u8>> = files.values().collect();
        let mut taken = 0;
        for (position, (file, bytes)) in files.iter().enumerate() {
            inputs += 1;
            taken += run(target, bytes, &mut failures, || format!("{name}/{file}"));
            let mut random = Pcg64::seed_from_u64(seed ^ (position as u64) << 32);
            for mutation in 0..mutations {
                let input = mutated(&mut random, bytes, &all);
                changed += 1;
                accepted += run(target, &input, &mut failures, || {
                    format!("{name}/{file}, change {mutation} with UPLINE_SEED={seed}: {}", hex(&input))
                });
            }
        }
        assert!(
            0 < taken,
            "no file of fuzz/corpus/{name} is accepted: UPLINE_FUZZ_SEEDS=1 writes them again"
        );
        accepted += taken;
    }
    for failure in failures.iter().take(TOLD_MAX) {
        println!("{failure}");
    }
    println!(
        "fuzz: targets={} inputs={inputs} mutations={changed} accepted={accepted} failures={}",
        TARGETS.len(),
        failures.len()
    );
    assert!(failures.is_empty(), "{} inputs break what must hold", failures.len());
}

/// Anyone who knows the network's id can forge cursors with any position and a valid checksum. Tries eight
/// times `UPLINE_FUZZ_MUTATIONS` of each list and member.
#[test]
fn forged_positions_hold() {
    let (seed, mutations) = (number("UPLINE_SEED", 1), number("UPLINE_FUZZ_MUTATIONS", MUTATIONS));
    println!("UPLINE_SEED={seed} UPLINE_FUZZ_MUTATIONS={mutations}");
    let mut random = Pcg64::seed_from_u64(seed);
    let mut below = |end: usize| usize::try_from(random.next_u64() % end as u64).unwrap();
    let rounds = 8 * usize::try_from(mutations).unwrap();
    let taken = BASE.with(|base| http::fuzzing::forged_cursors(base.engine.engine(), rounds, &mut below));
    assert!(0 < taken, "none was taken");
    println!("forged cursors: {taken} were taken");
}

/// Returns 1 if the bytes were valid. A panic of the target is recorded as a failure; the others still run.
fn run(target: Target, bytes: &[u8], failures: &mut Vec<String>, name: impl FnOnce() -> String) -> u64 {
    match catch_unwind(AssertUnwindSafe(|| target(bytes))) {
        Ok(good) => u64::from(good),
        Err(_) => {
            failures.push(name());
            0
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns a few small mutations: bits, bytes, numbers at the ends of their ranges, pieces removed,
/// duplicated, or copied from another file.
fn mutated(random: &mut Pcg64, bytes: &[u8], others: &[&Vec<u8>]) -> Vec<u8> {
    let mut below = |end: usize| usize::try_from(random.next_u64() % end.max(1) as u64).unwrap();
    let mut out = bytes.to_vec();
    for _ in 0..=below(3) {
        let at = below(out.len());
        let length = 1 + below(16.min(out.len() - at));
        match below(8) {
            _ if out.is_empty() => out.push(0),
            0 => out[at] ^= 1 << below(8),
            1 => out[at] = u8::try_from(below(256)).unwrap(),
            2 => out.truncate(at),
            3 => drop(out.drain(at..(at + length).min(out.len()))),
            4 => {
                let piece = out[at..(at + length).min(out.len())].to_vec();
                out.splice(at..at, piece);
            }
            5 => {
                let other = others[below(others.len())];
                let from = below(other.len());
                let piece = other[from..other.len().min(from + length)].to_vec();
                out.splice(at..at, piece);
            }
            6 => {
                let extreme =
                    [0_u64, 1, u64::MAX, 1 << 63, u64::from(u32::MAX), 1 << 31][below(6)].to_le_bytes();
                let width = [1, 2, 4, 8][below(4)].min(out.len() - at);
                out[at..at + width].copy_from_slice(&extreme[..width]);
            }
            _ => {
                let extreme: &[u8] = [
                    &b"-1"[..],
                    b"18446744073709551616",
                    b"1e999",
                    b"\"",
                    b"null",
                    b"{",
                    b"\xff",
                    b"\xed\xa0\x80",
                ][below(8)];
                out.splice(at..at, extreme.iter().copied());
            }
        }
    }
    out.truncate(INPUT_BYTES_MAX);
    out
}

#[test]
fn the_corpus_is_small_and_has_a_folder_for_each_fuzzer() {
    let (mut count, mut bytes) = (0, 0);
    for (name, _) in TARGETS {
        let files = files(name);
        count += files.len();
        bytes += files.values().map(|content| content.len() as u64).sum::<u64>();
    }
    assert!(count <= FILES_MAX && bytes <= BYTES_MAX, "{count} files of {bytes} bytes in all");
    let named: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_string()).collect();
    let manifest = std::fs::read_to_string(corpus().with_file_name("Cargo.toml")).unwrap();
    let fuzzers = manifest.lines().filter_map(|line| {
        line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\"").map(String::from)
    });
    assert_eq!(fuzzers.collect::<BTreeSet<_>>(), named);
    let folders = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), named);
}

/// The targets must be able to fail: a log that is cut without a trace must not pass their check of a
/// tampered log.
#[test]
fn edits_do_what_they_say() {
    let mut content = vec![1; 256];
    assert!(edited(&mut content, &[3, 0, 0, 5]), "one byte");
    assert_eq!(content[3], 1 ^ 5);
    assert!(!edited(&mut content, &[3, 0, 0, 0, 4, 0, 0, 0]), "two bytes");
    assert!(!edited(&mut content, &[8, 0, 3, 0]));
    assert!(content[8..].iter().all(|byte| *byte == 0) && content[7] == 1);
    assert!(!edited(&mut content, &[128, 0, 2, 0]));
    assert_eq!(content[128..136], content[0..8]);
}

/// With `UPLINE_FUZZ_SEEDS=1` the seeds are written into the corpus, next to what fuzzers found.
#[test]
fn seeds_are_good() {
    let writes = number("UPLINE_FUZZ_SEEDS", 0) == 1;
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.iter().any(|(_, bytes)| target(bytes)), "no seed of {name} is accepted");
        if writes {
            let folder = corpus().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            for (file, bytes) in seeds {
                std::fs::write(folder.join(file), bytes).unwrap();
            }
        }
    }
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let named = |name: &str, bytes: &[u8]| (name.to_string(), bytes.to_vec());
    let moded = |mode: u8, bytes: &[u8]| [&[mode], bytes].concat();
    match target {
        "frame" => (0..12)
            .map(|number| (format!("group-{number}"), group(number)))
            .chain(BASE.with(|base| {
                // A frame as a log holds it: another instance wrote it, and its checksum shows that.
                vec![named("foreign-frame", &base.log[512..base.log_end])]
            }))
            .collect(),
        "recovery" => BASE.with(|base| {
            let log = &base.log[..base.log_end];
            let edits: [(&str, &[u8]); 8] = [
                ("untouched", &[]),
                ("one-byte-of-the-header", &[20, 0, 0, 1]),
                ("one-byte-of-a-frame", &[90, 2, 0, 1]),
                ("the-last-byte", &[255, 255, 0, 1]),
                ("a-lost-sector", &[0, 4, 1, 64]),
                ("cut", &[0, 5, 3, 0]),
                ("copied", &[0, 3, 2, 8]),
                ("everything-lost", &[0, 2, 3, 0]),
            ];
            let edits = edits.into_iter().flat_map(|(name, edits)| {
                [(name.to_string(), moded(0, edits)), (format!("{name}-made-up"), moded(2, edits))]
            });
            edits
                .chain([("log".to_string(), moded(1, log)), ("log-made-up".to_string(), moded(3, log))])
                .collect()
        }),
        "snapshot" => BASE.with(|base| {
            let edits: [(&str, &[u8]); 6] = [
                ("untouched", &[]),
                ("one-byte-of-the-header", &[20, 0, 0, 1]),
                ("one-byte-of-a-row", &[0, 3, 0, 1]),
                ("rows-count", &[76, 0, 0, 1]),
                ("zeros", &[0, 2, 1, 8]),
                ("copied", &[0, 3, 2, 8]),
            ];
            let edits = edits.into_iter().flat_map(|(name, edits)| {
                [(name.to_string(), moded(0, edits)), (format!("{name}-made-up"), moded(2, edits))]
            });
            edits
                .chain([
                    ("file".to_string(), moded(1, &base.snapshot)),
                    ("file-made-up".to_string(), moded(3, &base.snapshot)),
                ])
                .collect()
        }),
        "request_body" => texts(&BODIES),
        "plan_file" => {
            let plans = [
                ("matrix", plan_file::DEFAULT_PLAN),
                ("binary", include_str!("../plans/binary.toml")),
                ("levels", include_str!("../plans/levels.toml")),
            ];
            let printed = plans.map(|(name, text)| {
                (format!("{name}-printed"), plan_file::to_text(&plan_file::parse(text).unwrap()).into_bytes())
            });
            let broken = [
                "",
                "name = 1",
                "[[trigger]]\n[[trigger]]",
                "level_cap = -1\nlevel_cap = 2",
                "[currency]\ncode = \"usd\"\nexponent = 99",
            ];
            texts(&plans.map(|(_, text)| text))
                .into_iter()
                .chain(printed)
                .chain(
                    broken
                        .iter()
                        .enumerate()
                        .map(|(at, text)| named(&format!("broken-{at}"), text.as_bytes())),
                )
                .collect()
        }
        "import_rows" => {
            let utf16: Vec<u8> = format!("\u{feff}{}", IMPORTS[1].replace(',', "\t"))
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect();
            let others: [(&str, &[u8]); 2] = [("utf-16", &utf16), ("zip", b"PK\x03\x04\x14\0\0\0")];
            texts(&IMPORTS).into_iter().chain(others.map(|(name, bytes)| named(name, bytes))).collect()
        }
        "cursor" => {
            let words: [&[u64]; 8] = [
                &[],
                &[0],
                &[u64::MAX, 0],
                &[1, 2],
                &[0, 3, 9, 27],
                &[1, 2, 3, 4, 5, u64::MAX],
                &[12, 12, 0, 0, 1, 1],
                &[1, 0xffff_ffff],
            ];
            let words = words
                .into_iter()
                .map(|words| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>());
            words
                .enumerate()
                .flat_map(|(at, words)| {
                    (0..6).map(move |list| (format!("list-{list}-words-{at}"), moded(list, &words)))
                })
                .collect()
        }
        "token" => tokens(),
        "order_body" => of_orders(&ORDERS),
        "order_rows" => of_orders(&ORDER_FILES),
        _ => panic!("no seeds for {target}"),
    }
}

fn tokens() -> Vec<(String, Vec<u8>)> {
    let member = json!({
        "iss": "https://id.example", "aud": "upline", "sub": "00000000-0000-4000-8000-000000000001",
        "exp": 4_000_000_000_u64,
    });
    let mut admin = member.clone();
    admin["role"] = "u-service".into();
    admin["scope"] = "members:read bonuses:read".into();
    admin["aud"] = json!(["upline", "other"]);
    let mut expired = member.clone();
    expired["exp"] = 1.into();
    let claims = [member.to_string(), admin.to_string(), expired.to_string(), "{}".into()];
    let sent = [
        signed(&member),
        signed(&admin),
        signed(&expired),
        "eyJhbGciOiJub25lIn0.e30.".into(),
        "ulk_1.secret".into(),
        "a.b".into(),
    ];
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","use":"sig"}]}"#;
    let all: Vec<&str> = claims.iter().chain(&sent).map(String::as_str).chain([keys]).collect();
    texts(&all)
}

/// These, and the bodies of orders as the lines of one.
fn of_orders(some: &[&str]) -> Vec<(String, Vec<u8>)> {
    let lines = ORDERS.join("\n");
    let all: Vec<&str> = some.iter().copied().chain([lines.as_str()]).collect();
    texts(&all)
}

fn texts(texts: &[&str]) -> Vec<(String, Vec<u8>)> {
    texts.iter().enumerate().map(|(at, text)| (format!("seed-{at:02}"), text.as_bytes().to_vec())).collect()
}

/// Returns a group of the base's history as an input of `frame`.
fn group(number: u8) -> Vec<u8> {
    let commands = super::commands(number);
    let stamp = |(at, command)| Stamped {
        lsn: 1 + at as u64,
        time: Timestamp(1_700_000_000_000_000),
        key: None,
        actor: None,
        format: 1,
        command,
    };
    let group: Vec<Stamped> = commands.into_iter().enumerate().map(stamp).collect();
    let mut out = vec![u8::try_from(group.len()).unwrap(), 1];
    encode_group(&group, &mut out).unwrap();
    out
}

const BODIES: [&str; 17] = [
    r#"{"user_id":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c"}"#,
    r#"{"user_id":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","parent_id":null}"#,
    r#"{"user_id":"6f2b4b0e5d0c4b1e9d6a0c5b8d1f2a3c","parent_id":"None"}"#,
    r#"{"user_id":"urn:uuid:6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","parent_id":"{00000000-0000-4000-8000-000000000001}"}"#,
    r#"{"source_user_id":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","trigger_type":"referral"}"#,
    r#"{"user_id":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","sponsor":{"code":"ANNA-7"},"placement":{"rule":"breadth-first"},"code":"BERT_1"}"#,
    r#"{"user_id":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","sponsor":{"user_id":"00000000-0000-4000-8000-000000000001"},"placement":{"parent":"00000000-0000-4000-8000-000000000001","slot":2},"role":"admin","joined_at":"2025-03-01T10:00:00Z"}"#,
    r#"{"source":"6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c","kind":"purchase","amount":{"minor":12500,"currency":"USD","exponent":2},"once":true}"#,
    r#"{"status":"inactive"}"#,
    r#"{"status":"active","role":"admin"}"#,
    r#"{"name":"a","level_cap":15,"count_sponsor_tree":false,"currency":{"code":"USD","exponent":2},"placement":{"width":3,"rule":"breadth-first","allow":[],"strategic":false},"trigger":[{"id":"referral","tree":"placement","rate":{"by":"level","money":["10.00","5"]},"on_registration":false,"admins_beyond":false}],"ladder":{"live":{"rule":"thresholds","tree":"placement","basis":"downline","rank":[{"name":"Bronze","minimum":3,"reward":"1.00"}]}}}"#,
    r#"{"user_id":[NaN,-Infinity,1e999,0.1e-7,123456789012345678901234567890,"\ud800","\u0000\"\\"],"user_id":{"a":1,"a":2}}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\u{feff}{}",
    "null",
    "{\"user_id\": 1,}",
    "",
];

const IMPORTS: [&str; 12] = [
    "member,sponsor,joined_at\nanna,,2025-03-01\nbert,anna,2025-03-02T10:00:00.000001+02:00\ncarl,bert,\n",
    "member,sponsor,joined_at,parent,slot,code,status,role,id,lifetime_rank,turn\n\
     bert,anna,,anna,1,B-1,inactive,member,00000000-0000-4000-8000-000000000009,1,0\n\
     anna,,,,,A-1,active,admin,,0,0\n",
    "member,sponsor,joined_at\na,b,\nb,c,\nc,a,\nd,d,\ne,nobody,\ne,,\ne,,\n\"f,f\",e,\n\"open,e,\n",
    "member,sponsor,joined_at\nanna,,\nbert,anna,\n===\n\
     receiver,source,level,amount,kind,status,created_at,id\nanna,bert,1,10.00,referral,paid,2025-03-01,\n\
     anna,bert,1,-3,referral,pending,2025-03-01,00000000-0000-4000-8000-000000000007\n\
     nobody,bert,x,1e9,,,,\n",
    "sponsor,joined_at,MEMBER,level\r\n,1970-01-01,00010203-0405-0607-0809-0a0b0c0d0eff,3\r\n'=1+1,,b,1\r\n",
    "member,member\n",
    "sep=;\r\nMember;Sponsor;Joined_At;Note\r\nanna;;2025-03-01 10:00:00 +0000;\"a\r\nb;c\"\r\n;;;\r\n\
     bert;anna;2025/3/1 9:05;\"open\r\n",
    "member\tsponsor\tjoined_at\rann\u{a0}a\t\t2025-03-01T10:00:00[America/New_York]\r\
     \"x\"y\tann\u{200b}a\t01/02/2025\r",
    "{\"member\":\"anna\",\"sponsor\":null,\"joined_at\":\"2025-03-09T02:30:00[America/New_York]\"}\n\
     {\"sponsor\":\"anna\",\"member\":7,\"joined_at\":null,\"x\":[{}]}\n{\"member\":1e99}\n{\n",
    "\u{feff}{\"member\":\"a\",\"sponsor\":\"\",\"joined_at\":\"\"}\n===\n\
     {\"receiver\":\"a\",\"source\":\"a\",\"level\":1,\"amount\":\"10.00\",\"kind\":\"referral\",\
     \"status\":\"paid\",\"created_at\":\"2025-03-01\"}\n",
    "member|sponsor|joined_at|status|role|parent|slot\nanna||||admin||\nbert|anna||inactive||anna|Left\n\
     bert|anna||active|admin||\n",
    "member,sponsor,joined_at,paid_once\nanna,,,referral old-1\nbert,anna,,Referral\ncarl,anna,, \n===\n\
     receiver,source,level,amount,kind,status,created_at,number,reverses\n\
     anna,bert,1,1.00,referral,held,2025-03-01,7,\nanna,bert,1,-1.00,referral,held,2025-03-01,,7\n\
     anna,bert,1,2.00,referral,void,2025-03-01,7,\nanna,bert,1,2.00,referral,void,2025-03-01,8,\n\
     anna,bert,1,-2.00,referral,void,2025-03-01,,8\n",
];

const ORDERS: [&str; 12] = [
    r#"{"order_id":"A-1","code":"M2","kind":"retail","lines":[{"amount":"12.50","volumes":{"pv":"10","points":"0.0001"}}]}"#,
    r#"{"refund_id":"R-1","part":"0.5"}"#,
    r#"{"refund_id":"R-2","lines":[{"line":0,"part":"0.25"},{"line":1}]}"#,
    r#"{"refund_id":"R-3"}"#,
    r#"{"order_id":"A-2","credits":[{"code":"M1","part":"0.333333333"},{"user_id":"03030303-0303-0303-0303-030303030303","part":"0.666666667"}],"customer":"C-1","kind":"signup","tags":["party","autoship"],"group":"party-12","market":"de","time":"2026-11-14T10:00:00.000001Z","lines":[{"amount":7,"volumes":{"pv":"0.07"}},{"amount":"0"},{"amount":"100000000000.00","volumes":{"points":"1000000000"}}]}"#,
    r#"{"order_id":"A-3","code":"M4","kind":"retail","time":"2026-10-05T00:00:00+02:00","lines":[{"amount":"1"}]}"#,
    r#"{"order_id":"A-1","code":"M2","kind":"retail","lines":[{"amount":"12.5","volumes":{"points":"0.0001","pv":10}}]}"#,
    r#"{"order_id":"A-1","code":"M1","kind":"retail","lines":[{"amount":"12.50"}]}"#,
    r#"{"order_id":"R-1","code":"M1","customer":"C-1","kind":"retail","lines":[{"amount":-1,"volumes":{"cv":"1","pv":"-1","pv":1e999}}]}"#,
    r#"{"market":"us","owner":"02020202-0202-0202-0202-020202020202","tags":{"founder":{},"fee-paid":{"from":"2026-01-01T00:00:00Z","until":"2027-01-01T00:00:00Z"}}}"#,
    r#"{"market":null,"owner":null,"tags":{"founder":null},"effective":"2026-11-14T00:00:00Z"}"#,
    r#"{"tags":{"founder":{"from":"2027-01-01T00:00:00Z","until":"2026-01-01T00:00:00Z"}},"effective":"2020-01-01T00:00:00Z"}"#,
];

const ORDER_FILES: [&str; 6] = [
    "order_id,user_id,amount,pv,kind,tags,time,customer\n\
     A-1,M1,12.50,10,retail,autoship party,2026-11-14,C-1\n\
     A-1,,7.5,,,,,\nA-2,m2,1,0.5,signup,,,\n\
     A-3,02020202-0202-0202-0202-020202020202,0,,retail,,2026-11-15 10:00:00,\n",
    "order_id,user_id,amount,kind\nA-1,M1,1,retail\nA-1,M1,x,\nA-2,nobody,1,retail\n\
     A-4,M1,1,retail\nA-4,M2,1,\n\
     A-5,M1,1,retail\nA-6,M1,-1,retail\nA-5,M1,2,retail\nA 7,M1,1,retail\n",
    "order_id;user_id;amount;points;xv;kind\r\n\
     A-1;M1;1;0,5;1;retail\r\n\"A-2\";M1;\"1\";0.5;;retail\r\nA-2;M1\r\n\
     A-2;M1;1;;;\r\nbroken\r\nA-3;M1;1;;;retail\r\n",
    "amount\torder_id\tuser_id\tkind\tgroup\tmarket\n1\tA-1\tM1\tretail\tg\tus\n\
     1\tA-2\tM2\tretail\tg\tmars\n",
    "order_id,user_id\nA-1,M1\n",
    "order_id,user_id,amount,kind,time\nA-1,M1,1,retail,2999-01-01\nA-2,M1,1,retail,2026-10-01\n\
     A-3,M1,1,retail,2026-10-05\nA-4,M1,1,retail,soon\n",
];
