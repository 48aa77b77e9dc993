//! Which certificates are trusted when we are an HTTPS client: of the token issuer, or of a server that the
//! command line queries.

use std::{fs::File, io::Read, path::Path, sync::Arc};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Limit on bytes of a certificate bundle: those of common systems take some 250 KiB.
const BUNDLE_BYTES_MAX: u64 = 8 << 20;

/// Configures TLS by rustls to trust the certificates (PEM) of `named`, else those of the file and directory
/// that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, else the system's: an internal service often has a
/// certificate of the company's own authority, which the system trusts but no built-in list contains.
///
/// # Errors
/// A sentence, if there is no such file, or no certificate in it.
pub fn tls(named: Option<&Path>) -> Result<TlsConfig, String> {
    let certificates = named.map_or_else(of_system, of_file)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn of_file(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let text = read_bounded(path, BUNDLE_BYTES_MAX)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let certificates: Vec<_> = parse_pem(text.as_bytes()).filter_map(certificate).collect();
    if certificates.is_empty() {
        return Err(format!("{} holds no certificates", path.display()));
    }
    Ok(certificates)
}

/// A certificate that cannot be read does not make the others useless.
fn of_system() -> Result<Vec<Certificate<'static>>, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let reason = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(format!("the system has no certificates to trust; name some{reason}"));
    }
    Ok(found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
}

/// Reads the text of a file, up to a limit in bytes.
///
/// # Errors
/// A sentence, if it cannot be read or is longer.
pub fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    let bytes =
        File::open(path).map_err(cannot)?.take(bytes_max + 1).read_to_string(&mut text).map_err(cannot)?;
    if bytes_max < bytes as u64 {
        return Err(format!("{} has more than {bytes_max} bytes", path.display()));
    }
    Ok(text)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{io::Write, net::TcpListener, time::Duration};

    use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivateKeyDer};

    use super::*;

    /// Starts a server with its own certificate for `localhost`, which answers this many requests with
    /// `body`. Returns its port and its certificate.
    pub(crate) fn serve(body: String, requests: usize) -> (u16, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        let config = Arc::new(
            config
                .with_no_client_auth()
                .with_single_cert(vec![made.cert.der().clone()], key)
                .expect("they belong together"),
        );
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(requests) {
                let stream = stream.expect("a connection");
                stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
                let mut tls =
                    StreamOwned::new(ServerConnection::new(Arc::clone(&config)).expect("a session"), stream);
                let mut head = Vec::new();
                let mut byte = [0];
                // A client that does not trust us disconnects.
                while !head.ends_with(b"\r\n\r\n") && matches!(tls.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let _ = write!(
                    tls,
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = tls.flush();
            }
        });
        (port, made.cert.pem())
    }

    #[test]
    fn what_is_named_is_trusted_and_nothing_else() {
        let place = tempfile::tempdir().expect("a directory");
        let file = |name: &str, content: &str| {
            std::fs::write(place.path().join(name), content).expect("a file");
            place.path().join(name)
        };
        let (port, certificate) = serve("hello".into(), 2);
        let (_, other) = serve(String::new(), 0);
        let get = |path: &Path| {
            let agent = ureq::Agent::config_builder()
                .tls_config(tls(Some(path)).expect("certificates"))
                .proxy(None)
                .build()
                .new_agent();
            agent
                .get(format!("https://localhost:{port}/"))
                .call()
                .map(|mut answer| answer.body_mut().read_to_string().expect("a body"))
        };
        assert!(get(&file("other.pem", &other)).is_err());
        assert_eq!(get(&file("own.pem", &certificate)).expect("it is trusted"), "hello");
        let refused = |path: &Path| tls(Some(path)).expect_err("no certificates");
        assert!(refused(&file("empty.pem", "")).contains("holds no certificates"));
        assert!(refused(Path::new("/nowhere/at/all.pem")).contains("cannot read"));
    }
}
