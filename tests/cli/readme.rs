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
//! stop and kill the server (`<!-- server: start -->`, `<!-- server: start with plan.toml -->`, `<!-- server:
//! demo of 2026-12 with --members 10 -->`), and name blocks that are files (`<!-- file: team.csv -->`).
//!
//! A demo has periods of the present: its page is read as if it had been written this month.

#[path = "matcher.rs"]
mod matcher;
#[path = "references.rs"]
mod references;

use std::{
    fs::{self, File},
    io::{Read, Seek},
    path::Path,
    process::{Command, Stdio},
};

use self::matcher::{Matcher, Month};
use crate::common::Server;

/// The server's address in the pages.
const PAGE_ADDRESS: &str = "127.0.0.1:8000";

/// The working directory in the pages.
const PAGE_PLACE: &str = "/home/anna/upline";

/// Minimum steps (commands, files, starts and ends of the server) per page, so that none is lost when a page
/// is rewritten.
const STEPS_MIN: [(&str, usize); 7] = [
    ("README.md", 8),
    ("docs/api.md", 19),
    ("docs/authorization.md", 1),
    ("docs/cli.md", 74),
    ("docs/opening.md", 14),
    ("docs/orders.md", 24),
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
    let place = crate::common::scratch();
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
    /// A demo, of a page that was written in this month, with these arguments.
    Demo {
        written: Month,
        arguments: Vec<String>,
    },
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
            Some(("server", other)) if other.starts_with("demo of ") => {
                let (written, arguments) =
                    other["demo of ".len()..].split_once(" with ").expect("a month and arguments");
                let written = Month::parse(written).expect("a month");
                steps.push(Step::Demo { written, arguments: words(arguments) });
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
            Step::Demo { written, arguments } => {
                assert!(self.server.is_none(), "the server runs already");
                let data_dir = self.place.join("snapshots/live");
                let data = ["--data-dir", data_dir.to_str().expect("UTF-8")];
                let demo = ["demo", "--no-serve"].into_iter().chain(arguments.iter().map(String::as_str));
                let made = Command::new(env!("CARGO_BIN_EXE_upline"))
                    .args(demo.chain(data))
                    .env_clear()
                    .envs([crate::common::SMALL_SEGMENTS])
                    .output();
                assert!(made.expect("the binary starts").status.success());
                let months = Month::now().0 - written.0;
                (self.matcher.lsns_vary, self.matcher.months) = (true, Some(months));
                self.server = Some(Server::start(&data_dir, &[]));
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
                let expected = &self.matcher.of_this_month(expected);
                let command = self.matcher.of_this_month(text);
                let command = self.matcher.translated(&command);
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
            .envs([crate::common::SMALL_SEGMENTS])
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
