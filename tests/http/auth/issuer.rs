//! A token issuer: signs tokens, and publishes its keys in a file or on loopback.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://id.example";
/// Flags of a server that accepts this issuer's tokens, without the location of the keys.
pub const FLAGS: [&str; 4] = ["--jwt-issuer", ISSUER, "--jwt-audience", "upline"];

/// A signing key and its name.
#[derive(Clone)]
pub struct Signer {
    pub id: &'static str,
    pub algorithm: Algorithm,
    pub key: EncodingKey,
}

pub fn first() -> Signer {
    let key = EncodingKey::from_ec_der(include_bytes!("../../fixtures/keys/ec1.p8"));
    Signer { id: "first", algorithm: Algorithm::ES256, key }
}

pub fn second() -> Signer {
    let key = EncodingKey::from_ec_der(include_bytes!("../../fixtures/keys/ec2.p8"));
    Signer { id: "second", algorithm: Algorithm::ES256, key }
}

pub fn rsa() -> Signer {
    let key = EncodingKey::from_rsa_der(include_bytes!("../../fixtures/keys/rsa.p1"));
    Signer { id: "rsa", algorithm: Algorithm::RS256, key }
}

impl Signer {
    pub fn public(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = self.id.into();
        jwk
    }

    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.into());
        encode(&header, claims, &self.key).unwrap()
    }

    /// Returns a member's token that is valid for an hour.
    pub fn member(&self, subject: &str) -> String {
        self.sign(&claims(subject))
    }

    pub fn role(&self, subject: &str, role: &str, scope: &str) -> String {
        let mut claims = claims(subject);
        claims["role"] = role.into();
        claims["scope"] = scope.into();
        self.sign(&claims)
    }
}

pub fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": "upline", "sub": subject, "exp": jsonwebtoken::get_current_timestamp() + 3_600,
    })
}

pub fn key_set(signers: &[Signer]) -> String {
    json!({ "keys": signers.iter().map(Signer::public).collect::<Vec<_>>() }).to_string()
}

/// Publishes a text over HTTP, or fails on demand. Stops on drop.
pub struct Publisher {
    pub address: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
    requests: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    pub fn start(status: u16, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new((status, body.to_owned())));
        let (requests, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (given, counted, stopped) = (Arc::clone(&answer), Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let (mut head, mut buffer) = (Vec::new(), [0; 1_024]);
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => head.extend_from_slice(&buffer[..read]),
                    }
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let (status, body) = given.lock().unwrap().clone();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, answer, requests, stop, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    pub fn publish(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
