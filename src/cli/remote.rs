//! The HTTP client for a running server: the only one in the command line.
//!
//! Credentials come from a file or from the environment, never from the command line, where every process on
//! the machine could read them. No proxy is used: the request is for the named server. Redirects are not
//! followed, since they would carry the credentials elsewhere.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::{Response, Uri},
    typestate::WithBody,
};

use super::{
    exit::{Exit, Failure},
    problem,
};
use crate::{
    trust::{self, read_bounded},
    version,
};

/// Connect timeout: a server that does not respond within it is considered down.
const CONNECT_SECONDS: u64 = 5;

/// Timeout for a complete response. Snapshots of the largest networks take minutes.
const ANSWER_SECONDS: u64 = 600;

/// Maximum response size: a page of a list has some 500 KiB.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Maximum size of a credentials file: two words and comments.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// Which server, and as whom.
#[derive(clap::Args, Clone, Default, Debug)]
#[group(id = "remote")]
pub(super) struct Args {
    /// Ask this running server, e.g. http://127.0.0.1:8000, instead of a data directory
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub url: Option<String>,
    /// File with a key's id and secret; without it UPLINE_API_KEY and UPLINE_API_SECRET, if they are set
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    /// Certificates (PEM) to trust for https [default: SSL_CERT_FILE and SSL_CERT_DIR, else the system's]
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
}

/// A client for one server.
pub(super) struct Remote {
    /// Without a trailing slash.
    base: String,
    agent: Agent,
    credentials: Option<Credentials>,
}

struct Credentials {
    id: String,
    secret: String,
}

/// A server's response.
pub(super) struct Answer {
    pub body: Value,
    /// Something was created (201).
    pub created: bool,
    /// The LSN of the response, from its `x-lsn` header.
    pub lsn: Option<u64>,
}

impl Remote {
    /// Parses the arguments; sends nothing yet.
    ///
    /// # Errors
    /// When the address is invalid, or the files cannot be read.
    pub fn new(url: &str, args: &Args) -> Result<Self, Failure> {
        let wrong = |reason: &str| {
            Failure::new(Exit::Usage, format!("--url {url}: {reason}, e.g. http://127.0.0.1:8000"))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is not the address of a server"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold credentials: other processes can see the command line"));
        }
        if uri.query().is_some() {
            return Err(wrong("must not have a query"));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(format!("upline/{}", version::VERSION))
            .timeout_connect(Some(Duration::from_secs(CONNECT_SECONDS)))
            .timeout_global(Some(Duration::from_secs(ANSWER_SECONDS)));
        let config = if is_tls {
            let named = args.ca_file.as_deref();
            config.tls_config(
                trust::tls(named)
                    .map_err(|reason| Failure::new(Exit::Failed, format!("{reason} (--ca-file)")))?,
            )
        } else {
            config
        };
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            agent: config.build().into(),
            credentials: Credentials::find(args)?,
        })
    }

    /// Sends a GET for a path with its query.
    ///
    /// # Errors
    /// `Unreachable`; `Refused` when the server refuses, `Unknown` when it reports that there is no such
    /// thing.
    pub fn get(&self, path: &str) -> Result<Answer, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.base)).header("accept", "application/json");
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        self.answer(request.call())
    }

    /// As [`Remote::get`], with `None` where there is no such thing.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub fn find(&self, path: &str) -> Result<Option<Answer>, Failure> {
        match self.get(path) {
            Err(Failure { exit: Exit::Unknown, .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Sends a POST without a body.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub fn post(&self, path: &str) -> Result<Answer, Failure> {
        self.answer(self.posting(path).send_empty())
    }

    /// Sends a POST with a JSON body.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub fn post_json(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let request = self.posting(path).header("content-type", "application/json");
        self.answer(request.send(body.to_string()))
    }

    /// Sends lines of JSON to a route that answers each of them; returns the answers. There may be fewer: a
    /// server that ends a batch says why in the last one.
    ///
    /// # Errors
    /// As [`Remote::get`], where the whole is refused.
    pub fn post_lines(&self, path: &str, lines: &[u8]) -> Result<Vec<Value>, Failure> {
        let request = self.posting(path).header("content-type", "application/x-ndjson");
        let response = request.send(lines);
        let (status, _, text) = self.text_of(response)?;
        if !(200..=299).contains(&status) {
            return Err(self.refusal(status, serde_json::from_str::<Value>(&text).ok().as_ref()));
        }
        // The last line may have been cut off.
        Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
    }

    /// Sends a PUT with a JSON body.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub fn put_json(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        let mut request = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("accept", "application/json")
            .header("content-type", "application/json");
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        self.answer(request.send(body.to_string()))
    }

    fn posting(&self, path: &str) -> RequestBuilder<WithBody> {
        let mut request =
            self.agent.post(format!("{}{path}", self.base)).header("accept", "application/json");
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        request
    }

    fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.credentials.iter().flat_map(|Credentials { id, secret }| {
            [("x-api-key", id.as_str()), ("x-api-secret", secret.as_str())]
        })
    }

    /// Reads a response: its status, its LSN, and its text.
    fn text_of(
        &self,
        result: Result<Response<Body>, ureq::Error>,
    ) -> Result<(u16, Option<u64>, String), Failure> {
        let unreachable = |error: ureq::Error| {
            Failure::new(Exit::Unreachable, format!("cannot reach {}: {}", self.base, reason(&error)))
        };
        let mut response = result.map_err(unreachable)?;
        let status = response.status().as_u16();
        let lsn = response.headers().get("x-lsn").and_then(|value| value.to_str().ok()?.parse().ok());
        let text = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .map_err(unreachable)?;
        Ok((status, lsn, text))
    }

    fn answer(&self, result: Result<Response<Body>, ureq::Error>) -> Result<Answer, Failure> {
        let (status, lsn, text) = self.text_of(result)?;
        let body = serde_json::from_str::<Value>(&text);
        match (status, body) {
            (200..=299, Ok(body)) => Ok(Answer { body, created: status == 201, lsn }),
            (200..=299, Err(_)) => Err(Failure::new(
                Exit::Refused,
                format!("{} answered {status}, but no JSON: is it an upline server?", self.base),
            )),
            (_, body) => Err(self.refusal(status, body.ok().as_ref())),
        }
    }

    fn refusal(&self, status: u16, problem: Option<&Value>) -> Failure {
        let mut words = problem::in_words(status, problem);
        if status == 401 {
            words += "; credentials are taken from --key-file or from UPLINE_API_KEY and UPLINE_API_SECRET";
        }
        Failure::new(problem::exit(status, problem), format!("{} says no: {words}", self.base))
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::HostNotFound => "there is no such host".into(),
        other => other.to_string(),
    }
}

impl Credentials {
    fn find(args: &Args) -> Result<Option<Self>, Failure> {
        if let Some(path) = &args.key_file {
            let text = read_bounded(path, KEY_FILE_BYTES_MAX)
                .map_err(|reason| Failure::new(Exit::Failed, reason))?;
            return Self::parse(&text).map(Some).ok_or_else(|| {
                let message = format!(
                    "{} does not hold a key: its id and its secret, separated by a blank or a line break",
                    path.display()
                );
                Failure::new(Exit::Config, message)
            });
        }
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        match (variable("UPLINE_API_KEY"), variable("UPLINE_API_SECRET")) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) if is_header(&id) && is_header(&secret) => Ok(Some(Self { id, secret })),
            _ => Err(Failure::new(
                Exit::Config,
                "UPLINE_API_KEY and UPLINE_API_SECRET go together, each without blanks",
            )),
        }
    }

    /// Parses two words, each with or without the name of its header, as `upline keys create` prints them;
    /// lines that begin with `#` are comments.
    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut words = lines
            .flat_map(str::split_whitespace)
            .filter(|word| !matches!(*word, "X-Api-Key:" | "X-Api-Secret:"));
        let (id, secret) = (words.next()?, words.next()?);
        let is_key = words.next().is_none() && is_header(id) && is_header(secret);
        is_key.then(|| Self { id: id.into(), secret: secret.into() })
    }
}

/// Returns whether a text can be sent as a header.
fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_servers_are_taken() {
        // address, message; empty where it is valid
        let table = [
            ("http://127.0.0.1:8000", ""),
            ("http://localhost:8000/", ""),
            ("http://[::1]:8000/prefix", ""),
            ("127.0.0.1:8000", "must begin with http://"),
            ("ftp://a", "must begin with http://"),
            ("http://", "is not the address"),
            ("http://a:b@c", "must not hold credentials"),
            ("http://a/?b", "must not have a query"),
            ("", "is not the address"),
        ];
        for (url, said) in table {
            match Remote::new(url, &Args::default()) {
                Ok(_) => assert_eq!(said, "", "{url}"),
                Err(failure) => {
                    assert_eq!(failure.exit, Exit::Usage, "{url}");
                    assert!(!said.is_empty() && failure.message.contains(said), "{url}: {}", failure.message);
                }
            }
        }
    }

    #[test]
    fn keys_are_two_words() {
        // text, id
        let table = [
            ("ulk_1 uls_2\n", Some("ulk_1")),
            ("# made for backups\nulk_1\nuls_2", Some("ulk_1")),
            ("X-Api-Key: ulk_1\nX-Api-Secret: uls_2\n", Some("ulk_1")),
            ("ulk_1", None),
            ("a b c", None),
            ("", None),
            ("ulk_1 s\u{e4}", None),
        ];
        for (text, id) in table {
            assert_eq!(Credentials::parse(text).map(|key| key.id).as_deref(), id, "{text:?}");
        }
    }

    #[test]
    fn a_server_behind_https_is_asked_if_its_certificate_is_trusted() {
        let place = tempfile::tempdir().expect("a directory");
        let (port, certificate) = crate::trust::tests::serve("{\"members\":7}".into(), 2);
        let (_, other) = crate::trust::tests::serve(String::new(), 0);
        let ask = |certificate: &str| {
            let file = place.path().join("ca.pem");
            std::fs::write(&file, certificate).expect("a file");
            let args = Args { ca_file: Some(file), ..Args::default() };
            Remote::new(&format!("https://localhost:{port}"), &args).expect("an address").get("/v1/stats")
        };
        assert_eq!(ask(&other).err().expect("it is not trusted").exit, Exit::Unreachable);
        let Ok(answer) = ask(&certificate) else { panic!("it is trusted") };
        assert_eq!(answer.body["members"], 7);
    }
}
