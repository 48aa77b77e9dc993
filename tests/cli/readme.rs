//! Runs the commands of README.md and of the pages in docs/, one by one, and compares their output. The
//! checks of tables, links and names are in `references.rs`.
//!
//! Every fenced `console` block of a page is run in order, in an empty directory, against the real binary.
//! Values that vary between runs (ids that the server generates, times, digests, generated codes, seconds)
//! are matched by kind, and one value of a page must stand for one value of the run wherever it appears: the
//! `id` in a reply is the `id` in the path of the next request. Everything else must match byte for byte.
//!
//! Only commands that the pages use are supported: `upline`, a few forms of `curl` (the test has its own
//! client, so that curl need not be installed), `head` and `echo $?`. Hidden comments in the pages start,
//! stop and kill the server (`<!-- server: start -->`, `<!-- server: start with plan.toml -->`), and name
//! blocks that are files (`<!-- file: team.csv -->`).

#[path = "references.rs"]
mod references;

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{Read, Seek},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use crate::common::Server;

/// The server's address in the pages.
const PAGE_ADDRESS: &str = "127.0.0.1:8000";

/// The working directory in the pages.
const PAGE_PLACE: &str = "/home/anna/upline";

/// Minimum steps (commands, files, starts and ends of the server) per page, so that none is lost when a page
/// is rewritten.
const STEPS_MIN: [(&str, usize); 6] = [
    ("README.md", 8),
    ("docs/api.md", 19),
    ("docs/authorization.md", 1),
    ("docs/cli.md", 74),
    ("docs/orders.md", 19),
    ("docs/tour.md", 37),
];

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Returns every hand-written page. Those in docs/proof/ are generated.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let names =
        fs::read_dir(folder).expect("there are pages").map(|entry| entry.expect("an entry").file_name());
    let mut pages: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.sort();
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "BENCHMARKS.md",
        "CHANGELOG.md",
        "fuzz/README.md",
        "loadtest/README.md",
        "snapshots/README.md",
        "tests/scenarios/README.md",
    ];
    pages.extend(others.map(str::to_owned));
    pages
}

#[test]
fn the_readme_says_what_happens() {
    says_what_happens("README.md");
}

#[test]
fn the_pages_say_what_happens() {
    let pages = pages();
    for (name, _) in STEPS_MIN {
        assert!(pages.iter().any(|page| page == name), "{name} is missing: {pages:?}");
    }
    for name in pages.iter().filter(|name| *name != "README.md") {
        if STEPS_MIN.iter().any(|(page, _)| page == name) || page(name).contains("\n```console\n") {
            says_what_happens(name);
        }
    }
}

/// Runs the steps of a page, starting in an empty directory.
fn says_what_happens(name: &str) {
    let steps = steps(&page(name));
    let steps_min = STEPS_MIN.iter().find(|(page, _)| *page == name).map_or(1, |(_, steps)| *steps);
    assert!(steps_min <= steps.len(), "{name} has {} steps, and had {steps_min}", steps.len());
    let place = tempfile::tempdir().expect("a temporary directory");
    // The pages assume a checkout, which is recognized by this file, and keeps its data in `snapshots/live`.
    fs::create_dir(place.path().join("snapshots")).expect("a temporary directory");
    fs::write(place.path().join("snapshots/README.md"), "the format\n").expect("a temporary file");
    let mut session =
        Session { place: place.path(), server: None, exit: 0, matcher: Matcher::starting_now() };
    let mut wrong = Vec::new();
    for (step, next) in steps.iter().zip(steps.iter().skip(1).map(Some).chain([None])) {
        if let Err(difference) = session.take(step, next) {
            wrong.push(difference);
        }
    }
    assert!(wrong.is_empty(), "{name} is not what happens:\n\n{}", wrong.join("\n\n"));
}

// --- a page as steps

#[derive(PartialEq, Eq, Debug)]
enum Step {
    /// With a plan file, if one is named.
    Start(Option<String>),
    Stop,
    Kill,
    File {
        name: String,
        content: String,
    },
    Command {
        line: usize,
        text: String,
        expected: String,
    },
}

/// Returns the steps of a page, in order.
fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut file = None;
    let mut lines = text.lines().zip(1..);
    while let Some((line, _)) = lines.next() {
        let comment = line.trim().strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        match comment.and_then(|comment| comment.split_once(": ")) {
            Some(("server", "start")) => steps.push(Step::Start(None)),
            Some(("server", "stop")) => steps.push(Step::Stop),
            Some(("server", "kill")) => steps.push(Step::Kill),
            Some(("server", other)) if other.starts_with("start with ") => {
                steps.push(Step::Start(other.strip_prefix("start with ").map(str::to_owned)));
            }
            Some(("file", name)) => file = Some(name.to_owned()),
            Some(other) => panic!("a comment that means nothing: {other:?}"),
            None => {}
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<(&str, usize)> = lines.by_ref().take_while(|(line, _)| *line != "```").collect();
        if let Some(name) = file.take() {
            steps.push(Step::File {
                name,
                content: block.iter().flat_map(|(line, _)| [line, "\n"]).collect(),
            });
        } else if language == "console" {
            steps.extend(commands(&block));
        }
    }
    assert_eq!(file, None, "a file without a block");
    steps
}

/// Returns the commands of a block with their output. A backslash at the end of a line continues a command.
fn commands(block: &[(&str, usize)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = block.iter().peekable();
    while let Some((first, line)) = lines.next() {
        let first =
            first.strip_prefix("$ ").unwrap_or_else(|| panic!("line {line}: an answer without a command"));
        let mut text = first.to_owned();
        while let Some(begun) = text.strip_suffix('\\') {
            let (more, _) =
                lines.next().unwrap_or_else(|| panic!("line {line}: the command ends in the middle"));
            text = begun.to_owned() + more;
        }
        let mut expected = String::new();
        while let Some((answer, _)) = lines.next_if(|(next, _)| !next.starts_with("$ ")) {
            expected = expected + answer + "\n";
        }
        steps.push(Step::Command { line: *line, text, expected });
    }
    steps
}

/// Splits a command into words: quotes as in a shell, no expansion.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, Option<char>) =
        (Vec::new(), None, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    assert_eq!(quote, None, "a quote is not closed: {command}");
    words.extend(word);
    words
}

// --- doing them

struct Session<'p> {
    place: &'p Path,
    server: Option<Server>,
    /// Exit code of the last command.
    exit: i32,
    matcher: Matcher,
}

impl Session<'_> {
    /// Runs a step; `Err` describes the difference.
    fn take(&mut self, step: &Step, next: Option<&Step>) -> Result<(), String> {
        match step {
            Step::Start(plan) => {
                assert!(self.server.is_none(), "the server runs already");
                self.matcher.lsns_vary = plan.is_some();
                let plan = plan.as_ref().map(|name| self.place.join(name));
                let plan = plan.as_ref().map(|path| ["--plan", path.to_str().expect("UTF-8")]);
                let data_dir = self.place.join("snapshots/live");
                self.server = Some(Server::start(&data_dir, plan.as_ref().map_or(&[], |plan| plan)));
            }
            Step::Stop => {
                let server = self.server.take().expect("the server runs");
                server.terminate();
                assert!(server.wait().success());
            }
            Step::Kill => self.server.take().expect("the server runs").kill(),
            Step::File { name, content } => {
                fs::write(self.place.join(name), content).expect("a temporary file can be written");
            }
            Step::Command { line, text, expected } => {
                let command = self.matcher.translated(text);
                let actual = self.run(&command);
                let different = |reason: String| {
                    Err(format!("line {line}: $ {text}\n{reason}\n--- page\n{expected}--- now\n{actual}"))
                };
                // Trailing empty lines are invisible on a terminal.
                if let Err(reason) =
                    self.matcher.compare(expected.trim_end_matches('\n'), actual.trim_end_matches('\n'))
                {
                    return different(reason);
                }
                let says_code = matches!(next, Some(Step::Command { text, .. }) if text == "echo $?");
                if self.exit != 0 && !says_code {
                    return different(format!("it ended with {} and the page does not say so", self.exit));
                }
            }
        }
        Ok(())
    }

    fn run(&mut self, command: &str) -> String {
        let words = words(command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (exit, output) = match words[..] {
            ["curl", ref arguments @ ..] => (0, self.curl(arguments)),
            ["upline", ref arguments @ ..] => self.upline(arguments),
            ["head", count, file] => {
                let count =
                    count.strip_prefix('-').and_then(|count| count.parse().ok()).expect("a number of lines");
                let text = fs::read_to_string(self.place.join(file)).expect("the file is there");
                (0, text.split_inclusive('\n').take(count).collect())
            }
            ["echo", "$?"] => (0, format!("{}\n", self.exit)),
            _ => panic!("this test does not know the command `{command}`"),
        };
        self.exit = exit;
        output
    }

    /// Runs the binary; returns its standard output and standard error, in order. Small log segments reduce
    /// the load on the disk.
    fn upline(&self, arguments: &[&str]) -> (i32, String) {
        let mut output = tempfile::tempfile().expect("a temporary file");
        let stream = |file: &File| Stdio::from(file.try_clone().expect("a file has more than one handle"));
        // The pages show the default port; the test's server has a random one.
        let address = self.server.as_ref().map(|server| server.address.to_string());
        let arguments = arguments.iter().map(|argument| match &address {
            Some(address) => argument.replace(PAGE_ADDRESS, address),
            None => (*argument).to_owned(),
        });
        let status = Command::new(env!("CARGO_BIN_EXE_upline"))
            .args(arguments)
            .current_dir(self.place)
            .env_clear()
            .env("UPLINE_SEGMENT_BYTES", "1048576")
            .stdin(Stdio::null())
            .stdout(stream(&output))
            .stderr(stream(&output))
            .status()
            .expect("the binary starts");
        let mut text = String::new();
        output.rewind().expect("it is a file");
        output.read_to_string(&mut text).expect("it says UTF-8");
        if let Some(address) = address {
            text = text.replace(&address, PAGE_ADDRESS);
        }
        let place = self.place.canonicalize().expect("it is there");
        let text = text.replace(place.to_str().expect("UTF-8"), PAGE_PLACE);
        (status.code().expect("it ends by itself"), with_the_pages_user(&text))
    }

    /// `curl -s [-X METHOD] [-H HEADER]... [-d BODY] URL`, with curl's content type where none is given.
    fn curl(&self, arguments: &[&str]) -> String {
        let (mut method, mut headers, mut body, mut path) = (None, Vec::new(), None, None);
        let mut arguments = arguments.iter();
        let value = |value: Option<&&str>| value.copied().expect("an option with its value").to_owned();
        while let Some(argument) = arguments.next() {
            match *argument {
                "-s" => {}
                "-X" => method = Some(value(arguments.next())),
                "-H" => headers.push(value(arguments.next())),
                "-d" => body = Some(value(arguments.next())),
                url => {
                    let rest = url.strip_prefix("http://").and_then(|rest| rest.strip_prefix(PAGE_ADDRESS));
                    path = Some(rest.unwrap_or_else(|| panic!("not known: {url}")).to_owned());
                }
            }
        }
        let mut headers: Vec<(&str, &str)> =
            headers.iter().map(|header| header.split_once(": ").expect("name: value")).collect();
        if body.is_some() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let method = method.unwrap_or_else(|| if body.is_some() { "POST".into() } else { "GET".into() });
        let server = self.server.as_ref().expect("the server runs");
        let reply = server.request(
            &method,
            &path.expect("an address"),
            &headers,
            body.unwrap_or_default().as_bytes(),
        );
        let text = String::from_utf8(reply.body)
            .expect("it answers UTF-8")
            .replace(&server.address.to_string(), PAGE_ADDRESS);
        if text.ends_with('\n') { text } else { text + "\n" }
    }
}

/// Replaces the operating system's user that runs the test by that of the pages, where the log names it.
fn with_the_pages_user(text: &str) -> String {
    const END: &str = "\",\"kind\":\"cli\"}";
    const BEGIN: &str = "{\"id\":\"";
    let parts: Vec<&str> = text.split(END).collect();
    let (last, named) = parts.split_last().expect("a text has a part");
    let named = named.iter().map(|part| {
        let before = part.rfind(BEGIN).map_or(*part, |at| &part[..at]);
        format!("{before}{BEGIN}root{END}")
    });
    named.collect::<String>() + last
}

// --- comparing

/// Kinds of values that vary between runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Uuid,
    Time,
    Digest,
    Code,
    /// Id or secret of a service key.
    Key,
    Checksums,
    Seconds,
    /// The label of a month, at the end of a text in JSON.
    Month,
    /// An LSN in JSON, with its name.
    Lsn,
}

#[derive(PartialEq, Eq, Debug)]
enum Piece<'t> {
    Text(&'t str),
    Value(Kind, &'t str),
}

/// Maps values of the page to values of the run.
struct Matcher {
    started: SystemTime,
    /// From the page's value to that of the run. A value that the page itself gave maps to itself.
    values: HashMap<String, String>,
    /// A server that has calendars logs a command for each month that has passed.
    lsns_vary: bool,
}

impl Matcher {
    fn starting_now() -> Self {
        // File systems and clocks need not agree to the last microsecond.
        Self { started: SystemTime::now() - Duration::from_secs(1), values: HashMap::new(), lsns_vary: false }
    }

    /// Returns a command with the values of this run. Values that first appear in a command were not
    /// generated by the run.
    fn translated(&mut self, command: &str) -> String {
        let mut text = String::new();
        for piece in pieces(command) {
            match piece {
                Piece::Text(plain) => text += plain,
                Piece::Value(_, value) => {
                    text += self.values.entry(value.to_owned()).or_insert_with(|| value.to_owned());
                }
            }
        }
        text
    }

    fn compare(&mut self, expected: &str, actual: &str) -> Result<(), String> {
        let (wanted, found) = (pieces(expected), pieces(actual));
        for (wanted, found) in wanted.iter().zip(&found) {
            match (wanted, found) {
                (Piece::Value(kind, wanted), Piece::Value(other, found)) if kind == other => {
                    self.stands_for(*kind, wanted, found)?;
                }
                _ if wanted == found => {}
                _ => return Err(format!("{wanted:?} is now {found:?}")),
            }
        }
        if wanted.len() == found.len() { Ok(()) } else { Err("one is longer".into()) }
    }

    fn stands_for(&mut self, kind: Kind, wanted: &str, found: &str) -> Result<(), String> {
        if kind == Kind::Seconds {
            return Ok(());
        }
        if let Some(value) = self.values.get(wanted) {
            return if value == found {
                Ok(())
            } else {
                Err(format!("{wanted} stood for {value} and is now {found}"))
            };
        }
        let may_differ = match kind {
            // Version 5 is derived from a name; only random ones vary.
            Kind::Uuid => [wanted, found].iter().all(|uuid| uuid.as_bytes()[14] == b'4'),
            Kind::Time => self.is_now(found),
            Kind::Month => is_now_or_before(found),
            Kind::Lsn => self.lsns_vary,
            Kind::Digest | Kind::Code | Kind::Key | Kind::Checksums | Kind::Seconds => true,
        };
        if wanted != found && !may_differ {
            return Err(format!("{wanted} is now {found}"));
        }
        // Two writes may fall into one microsecond; no other value may repeat.
        if kind != Kind::Time && self.values.values().any(|value| value == found) {
            return Err(format!("{found} appears in the place of two values, {wanted} is one"));
        }
        self.values.insert(wanted.to_owned(), found.to_owned());
        Ok(())
    }

    fn is_now(&self, time: &str) -> bool {
        let Ok(time) = format!("{time}Z").parse::<jiff::Timestamp>() else { return false };
        (self.started..=SystemTime::now()).contains(&SystemTime::from(time))
    }
}

/// Whether the label of a month, with a quote behind it, is that of this month or of the one before, in UTC.
fn is_now_or_before(label: &str) -> bool {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let before = today.first_of_month().yesterday().expect("there was one");
    [today, before].iter().any(|date| date.strftime("%Y-%m\"").to_string() == label)
}

/// Splits a text into values of known kinds and the text between them.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut pieces = Vec::new();
    let (mut at, mut plain) = (0, 0);
    while at < text.len() {
        let at_word = at == 0 || !is_part(text.as_bytes()[at - 1]);
        let value =
            if at_word && text.as_bytes()[at].is_ascii_alphanumeric() { value(&text[at..]) } else { None };
        let Some((kind, length)) = value.filter(|(_, length)| {
            text.as_bytes().get(at + length).is_none_or(|next| !is_part(*next) || *next == b'Z')
        }) else {
            at += 1;
            while !text.is_char_boundary(at) {
                at += 1;
            }
            continue;
        };
        if plain < at {
            pieces.push(Piece::Text(&text[plain..at]));
        }
        pieces.push(Piece::Value(kind, &text[at..at + length]));
        at += length;
        plain = at;
    }
    if plain < text.len() {
        pieces.push(Piece::Text(&text[plain..]));
    }
    pieces
}

/// Returns the kind and length of the value that a text begins with. In patterns `h` is a lower-case
/// hexadecimal digit, `9` a digit, `C` a character of generated codes, `B` one of URL-safe base64, anything
/// else itself.
fn value(text: &str) -> Option<(Kind, usize)> {
    let patterns = [
        (Kind::Digest, "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"),
        (Kind::Uuid, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh"),
        (Kind::Time, "9999-99-99T99:99:99.999999"),
        (Kind::Time, "9999-99-99T99:99:99"),
        (Kind::Month, "9999-99\""),
        (Kind::Key, "ulk_hhhhhhhhhhhhhhhh"),
        (Kind::Key, "uls_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"),
        (Kind::Checksums, "crc hhhhhhhh/hhhhhhhh"),
        (Kind::Checksums, "hhhhhhhhhhhhhhhh"),
        (Kind::Code, "CCCCCCCC"),
    ];
    let fits = |pattern: &str| {
        text.len() >= pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'h' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
                b'9' => byte.is_ascii_digit(),
                b'C' => byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !b"ILOU".contains(&byte)),
                b'B' => byte.is_ascii_alphanumeric() || b"-_".contains(&byte),
                other => byte == other,
            })
    };
    let found =
        patterns.into_iter().find(|(_, pattern)| fits(pattern)).map(|(kind, pattern)| (kind, pattern.len()));
    let found = found.or_else(|| {
        let name =
            ["lsn\":", "up_to_lsn\":", "opened_lsn\":"].into_iter().find(|name| text.starts_with(name))?;
        let digits = text[name.len()..].bytes().take_while(u8::is_ascii_digit).count();
        (0 < digits).then_some((Kind::Lsn, name.len() + digits))
    });
    found.or_else(|| {
        let length = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        (text[..length].contains('.') && text[length..].starts_with(" s")).then_some((Kind::Seconds, length))
    })
}

#[test]
fn a_changed_answer_is_found() {
    const A: &str = "b1367a03-8fe9-40d8-9bec-8727c4c1f85b";
    const B: &str = "489d8c8d-a79f-43e2-a30b-dca0824f19f0";
    const GIVEN: &str = "00000000-0000-4000-8000-000000000001";
    const NAMED: &str = "2962ef90-c4ec-509d-9762-d392726c79e0";
    let now = format!("{:.6}", jiff::Timestamp::now());
    let digest = |digit: &str| digit.repeat(64);
    // page, output, whether they match
    let table = [
        ("{\"level\":2}".to_owned(), "{\"level\":2}".to_owned(), true),
        ("{\"level\":2}".to_owned(), "{\"level\":3}".to_owned(), false),
        ("[]".to_owned(), "[] ".to_owned(), false),
        ("one\ntwo\n".to_owned(), "one\n".to_owned(), false),
        (A.to_owned(), B.to_owned(), true),
        (format!("{A} {A}"), format!("{B} {B}"), true),
        (format!("{A} {A}"), format!("{B} {A}"), false),
        (format!("{A} {B}"), format!("{B} {B}"), false),
        (A.to_owned(), NAMED.to_owned(), false),
        (NAMED.to_owned(), A.to_owned(), false),
        (GIVEN.to_owned(), A.to_owned(), false),
        (GIVEN.to_owned(), GIVEN.to_owned(), true),
        (A.to_owned(), "null".to_owned(), false),
        ("2026-11-21T01:30:15.235227Z".to_owned(), now.clone(), true),
        ("2026-11-21T01:30:15.235227+00:00".to_owned(), now.clone(), false),
        (now, "2026-11-21T01:30:15.235227Z".to_owned(), false),
        ("2025-03-01T00:00:00Z".to_owned(), "2025-03-02T00:00:00Z".to_owned(), false),
        (digest("a"), digest("b"), true),
        (digest("a"), digest("b") + "b", false),
        (format!("{} {}", digest("a"), digest("a")), format!("{} {}", digest("b"), digest("c")), false),
        (",R88WP63R,active".to_owned(), ",ABCDEFGH,active".to_owned(), true),
        (",R88WP63R,active".to_owned(), ",alice,active".to_owned(), false),
        ("crc 7208ef0c/b87fd9ce".to_owned(), "crc 00000000/b87fd9c0".to_owned(), true),
        ("crc 7208ef0c/b87fd9ce".to_owned(), "crc 00000000".to_owned(), false),
        (
            "ulk_3f0c9a7d51e2b846 ulk_3f0c9a7d51e2b846".to_owned(),
            "ulk_0123456789abcdef ulk_0123456789abcdef".to_owned(),
            true,
        ),
        (
            "ulk_3f0c9a7d51e2b846 ulk_3f0c9a7d51e2b846".to_owned(),
            "ulk_0123456789abcdef ulk_0123456789abcde0".to_owned(),
            false,
        ),
        ("(0.3 s)".to_owned(), "(12.0 s)".to_owned(), true),
        ("10.5 USD".to_owned(), "10.6 USD".to_owned(), false),
    ];
    for (expected, actual, is_right) in table {
        let mut matcher = Matcher::starting_now();
        assert_eq!(matcher.translated(&format!("curl {GIVEN}")), format!("curl {GIVEN}"));
        assert_eq!(matcher.compare(&expected, &actual).is_ok(), is_right, "{expected} / {actual}");
    }
}

#[test]
fn commands_are_read_as_a_shell_would() {
    let text = "# x\n```sh\nnot run\n```\n<!-- server: start with b.toml -->\n```console\n\
                $ curl -d '{\"a\": 1}' \\\n    x\n{}\n$ echo $?\n0\n```\n<!-- file: a.csv -->\n\
                ```csv\none\n```\n";
    let command = |line, text: &str, expected: &str| Step::Command {
        line,
        text: text.into(),
        expected: expected.into(),
    };
    let expected = [
        Step::Start(Some("b.toml".into())),
        command(7, "curl -d '{\"a\": 1}'     x", "{}\n"),
        command(10, "echo $?", "0\n"),
        Step::File { name: "a.csv".into(), content: "one\n".into() },
    ];
    assert_eq!(steps(text), expected);
    assert_eq!(words("curl -d '{\"a\": 1}'     x ''"), ["curl", "-d", "{\"a\": 1}", "x", ""]);
}
