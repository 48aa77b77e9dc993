//! Service keys: what they are, how they are stored and how they are checked.
//!
//! A key is a public id and a secret of 256 random bits, shown once. The file holds a hash of the secret. One
//! round of BLAKE3 is enough: slow hashes protect guessable secrets that people choose, and 256 random bits
//! cannot be guessed. The id is part of the hash input, so that a hash moved to another key is useless.
//!
//! # The file
//!
//! The file is `keys` in the data directory: mode 0600, owned by the user that serves it (`crate::owner`),
//! UTF-8:
//!
//! ```text
//! upline-keys 1 <BLAKE3 of everything after this line, 64 hex digits>
//! {"keys":[{"id":..,"name":..,"role":..,"scopes":[..],"hash":..,"created":..,"expires":..,"revoked":..}]}
//! ```
//!
//! Times are seconds since 1970; `expires` and `revoked` may be null. The file is replaced as a whole:
//! written under another name (`keys.new`), synced, renamed, and the directory synced. Each change holds the
//! lock of `keys.writing`, so that concurrent commands lose no update; the server holds the lock of the data
//! directory and never this one, and always reads a complete file.
//!
//! # Detecting lost keys
//!
//! A server whose keys are gone must not let everybody in. `keys.lock` records that keys existed: it is
//! created once the name of the first key file is durable, before the first secret is shown, and never
//! removed. A first command that is killed earlier leaves at most `keys.new` and `keys.writing`: nobody has a
//! secret then, and no keys are missing. (Releases before format 3 locked `keys.lock` itself and created it
//! first, so there it may stem from a command that failed; it is still taken to mean that keys exist.)

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use subtle::ConstantTimeEq;

use super::rights::{Role, Scope, Scopes};
use crate::{
    owner::{self, Owner},
    private_file,
};

/// Start of the file's first line; the number is the format version.
const MAGIC: &str = "upline-keys";
const VERSION: u32 = 1;
/// Names in the data directory. `durability` knows them too: a directory that holds nothing else counts as
/// new.
const FILE: &str = "keys";
const FILE_NEW: &str = "keys.new";
const FILE_LOCK: &str = "keys.writing";
/// Records that keys existed at some time.
const FILE_MADE: &str = "keys.lock";
/// Attempts to lock a file that keeps being replaced.
const LOCK_TRIES: usize = 8;
/// Limit on keys in the file, including revoked and expired ones; inactive keys make room, oldest first.
pub const KEYS_MAX: usize = 1_000;
/// Limit on the file's bytes: a thousand keys with every scope take some 600 KiB.
const FILE_BYTES_MAX: u64 = 2 << 20;
/// Characters of a key's name.
pub const NAME_CHARS_MAX: usize = 64;
/// How long to wait for another process that is changing the file: a change takes milliseconds.
const LOCK_SECONDS: u64 = 5;
/// Begins every id and tells a key from a token in `Authorization: Bearer`; secret scanners look for the
/// secret's prefix.
pub const KEY_ID_PREFIX: &str = "ulk_";
const SECRET_PREFIX: &str = "uls_";
/// The longest id or secret worth hashing, in bytes; real ones are shorter.
const CREDENTIAL_BYTES_MAX: usize = 128;
/// Domain separation: a hash of anything else can never equal one of these.
const HASH_CONTEXT: &str = "upline 2026-11 service key secret v1";

/// Why a key file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error(
        "{} was written by a newer release (version {version}, this one knows {VERSION})",
        path.display()
    )]
    Newer { path: PathBuf, version: u32 },
    #[error(
        "{} is damaged: {reason}; restore it from a backup, or move it away and create new keys",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("{} is being changed by another process", .0.display())]
    Locked(PathBuf),
    #[error(
        "{} is gone, and {} is a whole file of keys: if it was renamed, rename it back; \
         if those keys are of no use, move it away",
        path.display(),
        new.display()
    )]
    Renamed { path: PathBuf, new: PathBuf },
    #[error(
        "{} belongs to the user {user}, and what this command writes there that user could not read, \
         so that the next start of its server would fail. Run it as that user \
         (`sudo -u '#{user}' upline keys ...`) or as root, which gives the file away; \
         nothing was changed", directory.display()
    )]
    NotOwner { directory: PathBuf, user: u32 },
    #[error("there are {KEYS_MAX} keys that still open something; revoke some first")]
    Full,
}

type Result<T> = std::result::Result<T, KeyFileError>;

fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyFileError {
    move |source| KeyFileError::Io { what, path: path.to_path_buf(), source }
}

/// One key, as stored. Nothing in it grants access.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceKey {
    pub id: Arc<str>,
    pub name: String,
    pub role: Role,
    /// What a service may do; empty for other roles.
    pub scopes: Scopes,
    hash: [u8; 32],
    /// Seconds since 1970.
    pub created: i64,
    pub expires: Option<i64>,
    pub revoked: Option<i64>,
}

/// The state of a key at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum KeyStatus {
    Active,
    Expired,
    Revoked,
}

impl KeyStatus {
    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A newly created key: the only place where its secret exists.
#[derive(Debug)]
pub struct NewKey {
    pub key: ServiceKey,
    pub secret: String,
}

impl ServiceKey {
    /// Creates a key with a random id and secret.
    ///
    /// # Errors
    /// If the operating system provides no random numbers.
    pub fn random(
        name: &str,
        role: Role,
        scopes: Scopes,
        now: i64,
        expires: Option<i64>,
    ) -> std::result::Result<NewKey, getrandom::Error> {
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        let id: Arc<str> = format!("{KEY_ID_PREFIX}{}", hex(&id)).into();
        let secret = format!("{SECRET_PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let hash = hash_of(&id, &secret);
        let key = Self { id, name: name.into(), role, scopes, hash, created: now, expires, revoked: None };
        Ok(NewKey { key, secret })
    }

    pub fn status(&self, now: i64) -> KeyStatus {
        match (self.revoked, self.expires) {
            (Some(_), _) => KeyStatus::Revoked,
            (None, Some(expires)) if expires <= now => KeyStatus::Expired,
            (None, _) => KeyStatus::Active,
        }
    }
}

fn hash_of(id: &str, secret: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(HASH_CONTEXT);
    hasher.update(id.as_bytes());
    // Terminates the id, which never contains this byte.
    hasher.update(&[0]);
    hasher.update(secret.as_bytes());
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Returns whether a name is acceptable for a key: it is printed and logged.
pub fn is_name(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || " ._-/".contains(character);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(allowed) && name.trim() == name
}

/// Returns whether a bearer credential is a key rather than a token.
pub fn is_key_id(text: &str) -> bool {
    text.starts_with(KEY_ID_PREFIX)
}

/// Why a key was refused. Clients are never told which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyRefusal {
    Unknown,
    WrongSecret,
    Expired,
    Revoked,
}

/// All keys of a file, looked up by id.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct KeyRing {
    /// In creation order.
    keys: Vec<Arc<ServiceKey>>,
    by_id: HashMap<Arc<str>, usize>,
    /// By name and role, the id of the first key.
    clients: HashMap<(Box<str>, Role), Arc<str>>,
}

impl KeyRing {
    fn new(keys: Vec<Arc<ServiceKey>>) -> Self {
        let by_id = keys.iter().enumerate().map(|(at, key)| (Arc::clone(&key.id), at)).collect();
        let mut clients = HashMap::new();
        for key in &keys {
            clients.entry((key.name.as_str().into(), key.role)).or_insert_with(|| Arc::clone(&key.id));
        }
        Self { keys, by_id, clients }
    }

    /// In creation order.
    pub fn iter(&self) -> impl Iterator<Item = &ServiceKey> {
        self.keys.iter().map(|key| &**key)
    }

    /// Returns the id of the first key with the name and role of this one: keys that follow each other under
    /// one name are one client. O(1).
    pub fn client_of<'a>(&'a self, key: &'a ServiceKey) -> &'a Arc<str> {
        self.clients.get(&(key.name.as_str().into(), key.role)).unwrap_or(&key.id)
    }

    /// Returns whether the key with this id is active at a moment.
    pub fn is_active(&self, id: &str, now: i64) -> bool {
        self.by_id.get(id).is_some_and(|at| self.keys[*at].status(now) == KeyStatus::Active)
    }

    /// Returns the number of keys active at a moment.
    pub fn active(&self, now: i64) -> usize {
        self.iter().filter(|key| key.status(now) == KeyStatus::Active).count()
    }

    /// Returns the key if the secret matches and it is active. The time taken depends neither on whether the
    /// id is known nor on where the secret differs.
    ///
    /// # Errors
    /// See [`KeyRefusal`].
    pub fn check(&self, id: &str, secret: &str, now: i64) -> std::result::Result<&ServiceKey, KeyRefusal> {
        if CREDENTIAL_BYTES_MAX < id.len().max(secret.len()) {
            return Err(KeyRefusal::Unknown);
        }
        let key = self.by_id.get(id).map(|at| &*self.keys[*at]);
        let wanted = key.map_or([0; 32], |key| key.hash);
        let is_right = bool::from(hash_of(id, secret).ct_eq(&wanted));
        let key = key.ok_or(KeyRefusal::Unknown)?;
        if !is_right {
            return Err(KeyRefusal::WrongSecret);
        }
        match key.status(now) {
            KeyStatus::Active => Ok(key),
            KeyStatus::Expired => Err(KeyRefusal::Expired),
            KeyStatus::Revoked => Err(KeyRefusal::Revoked),
        }
    }
}

// --- the file

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileV1 {
    keys: Vec<KeyV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyV1 {
    id: String,
    name: String,
    role: String,
    scopes: Vec<String>,
    hash: String,
    created: i64,
    expires: Option<i64>,
    revoked: Option<i64>,
}

impl KeyV1 {
    fn of(key: &ServiceKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name.clone(),
            role: key.role.name().into(),
            scopes: key.scopes.iter().map(|scope| scope.name().into()).collect(),
            hash: hex(&key.hash),
            created: key.created,
            expires: key.expires,
            revoked: key.revoked,
        }
    }

    fn read(self) -> std::result::Result<Arc<ServiceKey>, String> {
        let wrong = |what: &str| format!("key `{}` has a wrong {what}", self.id);
        let role = self
            .role
            .parse::<Role>()
            .ok()
            .filter(|role| *role != Role::Member)
            .ok_or_else(|| wrong("role"))?;
        let scopes = self.scopes.iter().map(|scope| scope.parse::<Scope>().ok()).collect::<Option<Scopes>>();
        let scopes = scopes.ok_or_else(|| wrong("scope"))?;
        let hash = unhex(&self.hash).ok_or_else(|| wrong("hash"))?;
        if !is_name(&self.name) || !is_key_id(&self.id) {
            return Err(wrong("name"));
        }
        let (id, created, expires, revoked) = (self.id.into(), self.created, self.expires, self.revoked);
        Ok(Arc::new(ServiceKey { id, name: self.name, role, scopes, hash, created, expires, revoked }))
    }
}

fn print(keys: &[Arc<ServiceKey>]) -> String {
    let file = FileV1 { keys: keys.iter().map(|key| KeyV1::of(key)).collect() };
    let mut body = serde_json::to_string(&file).expect("plain data becomes JSON");
    body.push('\n');
    format!("{MAGIC} {VERSION} {}\n{body}", blake3::hash(body.as_bytes()).to_hex())
}

fn parse(path: &Path, text: &str) -> Result<KeyRing> {
    let damaged = |reason: &str| KeyFileError::Damaged { path: path.to_path_buf(), reason: reason.into() };
    let (head, body) = text.split_once('\n').ok_or_else(|| damaged("it has no first line"))?;
    let mut words = head.split(' ');
    let version =
        words.next().filter(|magic| *magic == MAGIC).and_then(|_| words.next()?.parse::<u32>().ok());
    match version {
        None | Some(0) => return Err(damaged("it does not begin as a key file does")),
        Some(VERSION) => {}
        Some(version) => return Err(KeyFileError::Newer { path: path.to_path_buf(), version }),
    }
    if words.next() != Some(blake3::hash(body.as_bytes()).to_hex().as_str()) || words.next().is_some() {
        return Err(damaged("its checksum does not match"));
    }
    let file: FileV1 = serde_json::from_str(body).map_err(|error| damaged(&error.to_string()))?;
    let count = file.keys.len();
    let keys: std::result::Result<Vec<_>, String> = file.keys.into_iter().map(KeyV1::read).collect();
    let ring = KeyRing::new(keys.map_err(|reason| damaged(&reason))?);
    if ring.by_id.len() != count || KEYS_MAX < count {
        return Err(damaged("it has an id twice, or too many keys"));
    }
    Ok(ring)
}

/// Distinguishes versions of the file without reading it: each version is a new file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// The key file of a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    directory: PathBuf,
}

impl KeyFile {
    pub fn of(data_dir: &Path) -> Self {
        Self { directory: data_dir.to_path_buf() }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Returns the data directory that holds it.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns which version is there; `None` for no file.
    ///
    /// # Errors
    /// `Io`.
    pub fn stamp(&self) -> Result<Option<Stamp>> {
        let path = self.path();
        match fs::metadata(&path) {
            Ok(data) => Ok(Some(Stamp {
                inode: data.ino(),
                bytes: data.len(),
                modified: (data.mtime(), data.mtime_nsec()),
            })),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(io("look at", &path)(error)),
        }
    }

    /// Returns whether a key file ever existed, even if it is gone now.
    ///
    /// # Errors
    /// `Io`.
    pub fn was_made(&self) -> Result<bool> {
        let path = self.directory.join(FILE_MADE);
        match path.try_exists() {
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(false),
            result => result.map_err(io("look at", &path)),
        }
    }

    /// Reads the keys; `None` if there is no file, which differs from a file without keys.
    ///
    /// # Errors
    /// `Io`, `Newer`, `Damaged`.
    pub fn load(&self) -> Result<Option<KeyRing>> {
        let path = self.path();
        let damaged = |reason: &str| KeyFileError::Damaged { path: path.clone(), reason: reason.into() };
        let file = match private_file::open_regular(&path, false) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::Unsupported) => {
                return Err(damaged("it is no regular file"));
            }
            result => result.map_err(io("open", &path))?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io("read", &path))?;
        if FILE_BYTES_MAX < bytes.len() as u64 {
            return Err(damaged("it is too large"));
        }
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        parse(&path, &text).map(Some)
    }

    /// Adds a key. Creates the directory if absent, so that keys can exist before the first start.
    ///
    /// # Errors
    /// As `load`; `Locked`, `Full`.
    pub fn add(&self, key: ServiceKey, now: i64) -> Result<()> {
        owner::make_directories(&self.directory).map_err(io("create", &self.directory))?;
        self.change(|keys| {
            while KEYS_MAX <= keys.len() {
                let spent = keys
                    .iter()
                    .position(|key| key.status(now) != KeyStatus::Active)
                    .ok_or(KeyFileError::Full)?;
                keys.remove(spent);
            }
            keys.push(Arc::new(key));
            Ok(())
        })
    }

    /// Revokes a key permanently and returns it; `None` if there is no key with this id. An already revoked
    /// key is unchanged.
    ///
    /// # Errors
    /// As `load`; `Locked`.
    pub fn revoke(&self, id: &str, now: i64) -> Result<Option<ServiceKey>> {
        if self.stamp()?.is_none() {
            return Ok(None);
        }
        self.change(|keys| {
            let Some(key) = keys.iter_mut().find(|key| &*key.id == id) else { return Ok(None) };
            let key = Arc::make_mut(key);
            key.revoked = key.revoked.or(Some(now));
            Ok(Some(key.clone()))
        })
    }

    /// Records durably that there are keys; from then on a server without them does not start. Idempotent.
    ///
    /// # Errors
    /// `Io`.
    pub fn note_made(&self) -> Result<()> {
        let path = self.directory.join(FILE_MADE);
        match private_file::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            made => self.give_away(&made.map_err(io("create", &path))?)?,
        }
        self.sync_directory()
    }

    /// Gives a file that this process made to the user that serves the directory. If that user is not known
    /// and the directory is root's, the file stays with its creator: such a directory is shared by its group,
    /// and its server is one of those who write there.
    fn give_away(&self, made: &File) -> Result<()> {
        let owner = Owner::of_files_in(&self.directory).map_err(io("look at", &self.directory))?;
        let is_shared = owner.user == 0 && !owner.is_certain;
        match owner.take(made) {
            Err(_) if !is_shared => {
                Err(KeyFileError::NotOwner { directory: self.directory.clone(), user: owner.user })
            }
            _ => Ok(()),
        }
    }

    /// Reads, changes and replaces the file under the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Arc<ServiceKey>>) -> Result<T>) -> Result<T> {
        let _alone = self.lock()?;
        let present = self.load()?;
        if present.is_none() && self.was_made()? {
            self.check_not_renamed()?;
        }
        let mut keys = present.unwrap_or_default().keys;
        let changed = change(&mut keys)?;
        self.replace(&print(&keys))?;
        self.note_made()?;
        Ok(changed)
    }

    /// If keys are missing, a complete key file under the temporary name is not a leftover.
    fn check_not_renamed(&self) -> Result<()> {
        let new = self.directory.join(FILE_NEW);
        let holds_keys = match private_file::open_regular(&new, false).and_then(std::io::read_to_string) {
            Ok(text) => parse(&new, &text).is_ok_and(|ring| !ring.keys.is_empty()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound
                        | ErrorKind::InvalidData
                        | ErrorKind::IsADirectory
                        | ErrorKind::Unsupported
                ) =>
            {
                false
            }
            Err(error) => return Err(io("read", &new)(error)),
        };
        if holds_keys { Err(KeyFileError::Renamed { path: self.path(), new }) } else { Ok(()) }
    }

    fn lock(&self) -> Result<File> {
        let path = self.directory.join(FILE_LOCK);
        for _ in 0..LOCK_TRIES {
            let file = private_file::open_or_create(&path).map_err(io("open", &path))?;
            // Before anything else exists that the server could not read.
            self.give_away(&file).inspect_err(|_| _ = fs::remove_file(&path))?;
            self.wait_for(&file, &path)?;
            let locked = file.metadata().map_err(io("look at", &path))?;
            // Another file may have replaced it meanwhile: then the lock of that one counts.
            match fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) => return Ok(file),
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(io("look at", &path)(error)),
                _ => {}
            }
        }
        Err(KeyFileError::Locked(self.path()))
    }

    fn wait_for(&self, file: &File, path: &Path) -> Result<()> {
        let begin = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(fs::TryLockError::WouldBlock) if begin.elapsed() < Duration::from_secs(LOCK_SECONDS) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(fs::TryLockError::WouldBlock) => return Err(KeyFileError::Locked(self.path())),
                Err(fs::TryLockError::Error(error)) => return Err(io("lock", path)(error)),
            }
        }
    }

    fn replace(&self, text: &str) -> Result<()> {
        let (path, new) = (self.path(), self.directory.join(FILE_NEW));
        // An existing one was left by a killed command: while `keys` is there, or never was, its secrets were
        // shown to nobody.
        let mut file = private_file::create_anew(&new).map_err(io("create", &new))?;
        self.give_away(&file)?;
        file.write_all(text.as_bytes()).map_err(io("write", &new))?;
        file.sync_all().map_err(io("sync", &new))?;
        fs::rename(&new, &path).map_err(io("rename", &new))?;
        self.sync_directory()
    }

    fn sync_directory(&self) -> Result<()> {
        let directory = File::open(&self.directory).map_err(io("open", &self.directory))?;
        directory.sync_all().map_err(io("sync", &self.directory))
    }
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod tests;
