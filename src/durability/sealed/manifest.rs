//! The manifest of a seal: which files it has, and what is in them. A seal is there when its manifest is, and
//! it counts when a command names the manifest's hash.
//!
//! It is TOML in one fixed form, so that people and tools can read it, and so that its bytes follow from its
//! content.

use std::{fmt::Write, sync::Arc};

use super::{
    file::{LOST, Unfinished, read_small},
    place::{Paths, parse_relative},
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

const FORMAT: u32 = 1;
/// The longest that is read: far more than a seal of every month of a century takes.
const BYTES_MAX: u64 = 1 << 24;
const TITLE: &str = "# upline: sealed orders";

/// The manifest of a seal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    pub number: u32,
    /// The LSN of the state that was sealed.
    pub basis_lsn: u64,
    /// The newest posted periods: calendar and label.
    pub periods: Vec<(String, String)>,
    pub orders: u64,
    pub lines: u64,
    pub refunds: u64,
    /// Earlier seals that have older rows of some of these orders; ascending.
    pub supersedes: Vec<u32>,
    /// The hash of the manifest before.
    pub previous: Option<[u8; 32]>,
    /// Over the digests of the files.
    pub digest: [u8; 32],
    pub sums: Sums,
    pub files: Vec<ManifestFile>,
}

/// The file with the checksums of the others' blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sums {
    pub bytes: u64,
    pub hash: [u8; 32],
}

/// A file of a seal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManifestFile {
    /// In the data directory.
    pub path: String,
    pub bytes: u64,
    /// The BLAKE3 of the file.
    pub hash: [u8; 32],
    pub rows: u64,
    /// Orders, or refunds.
    pub count: u64,
    /// The least and the greatest LSN.
    pub lsns: [u64; 2],
    /// The BLAKE3 of the canonical bytes of its orders, with their refunds, in the order of the rows. A file
    /// of refunds has none.
    pub digest: Option<[u8; 32]>,
}

impl Manifest {
    /// The digest over the digests of these files.
    pub(super) fn digest_of(files: &[ManifestFile]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (file, digest) in files.iter().filter_map(|file| Some((file, file.digest?))) {
            hasher.update(file.path.as_bytes());
            hasher.update(&file.count.to_le_bytes());
            hasher.update(&digest);
        }
        *hasher.finalize().as_bytes()
    }

    /// The hash that names it.
    pub fn hash(&self) -> [u8; 32] {
        *blake3::hash(self.encode().as_bytes()).as_bytes()
    }

    /// Its text.
    pub fn encode(&self) -> String {
        let mut out = format!("{TITLE}\nformat = {FORMAT}\nnumber = {}\n", self.number);
        let mut put = |text: std::fmt::Arguments<'_>| out.write_fmt(text).expect("a string takes it");
        put(format_args!("basis_lsn = {}\n", self.basis_lsn));
        let periods: Vec<String> = self
            .periods
            .iter()
            .map(|(calendar, label)| format!("[{}, {}]", quoted(calendar), quoted(label)))
            .collect();
        put(format_args!("periods = [{}]\n", periods.join(", ")));
        put(format_args!("orders = {}\nlines = {}\nrefunds = {}\n", self.orders, self.lines, self.refunds));
        let supersedes: Vec<String> = self.supersedes.iter().map(u32::to_string).collect();
        put(format_args!("supersedes = [{}]\n", supersedes.join(", ")));
        if let Some(previous) = &self.previous {
            put(format_args!("previous = \"{}\"\n", hex(previous)));
        }
        put(format_args!("digest = \"{}\"\n", hex(&self.digest)));
        put(format_args!("sums_bytes = {}\nsums_blake3 = \"{}\"\n", self.sums.bytes, hex(&self.sums.hash)));
        for file in &self.files {
            put(format_args!("\n[[file]]\npath = {}\n", quoted(&file.path)));
            put(format_args!("bytes = {}\nblake3 = \"{}\"\n", file.bytes, hex(&file.hash)));
            put(format_args!("rows = {}\ncount = {}\n", file.rows, file.count));
            put(format_args!("lsns = [{}, {}]\n", file.lsns[0], file.lsns[1]));
            if let Some(digest) = &file.digest {
                put(format_args!("digest = \"{}\"\n", hex(digest)));
            }
        }
        out
    }

    /// Reads its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let mut lines = Lines::after(text, TITLE)?;
        let format: u32 = lines.number("format")?;
        if format != FORMAT {
            return Err(format!("it has format {format}; this release reads {FORMAT}"));
        }
        let mut manifest = Self {
            number: lines.number("number")?,
            basis_lsn: lines.number("basis_lsn")?,
            periods: pairs(lines.value("periods")?).ok_or("`periods` is no list of pairs")?,
            orders: lines.number("orders")?,
            lines: lines.number("lines")?,
            refunds: lines.number("refunds")?,
            supersedes: numbers(lines.value("supersedes")?).ok_or("`supersedes` is no list of numbers")?,
            previous: lines.optional_hash("previous")?,
            digest: lines.hash("digest")?,
            sums: Sums { bytes: lines.number("sums_bytes")?, hash: lines.hash("sums_blake3")? },
            files: Vec::new(),
        };
        while let Some(line) = lines.0.next() {
            if !line.is_empty() || lines.0.next() != Some("[[file]]") {
                return Err(format!("unexpected: {line:?}"));
            }
            let path = unquoted(lines.value("path")?).ok_or("`path` is no text")?;
            let file = ManifestFile {
                path,
                bytes: lines.number("bytes")?,
                hash: lines.hash("blake3")?,
                rows: lines.number("rows")?,
                count: lines.number("count")?,
                lsns: numbers(lines.value("lsns")?)
                    .and_then(|lsns| lsns.try_into().ok())
                    .ok_or("`lsns` is no pair of numbers")?,
                digest: lines.optional_hash("digest")?,
            };
            if parse_relative(&file.path).is_none_or(|(seal, _, _)| seal != manifest.number) {
                return Err(format!("{:?} is no file of this seal", file.path));
            }
            manifest.files.push(file);
        }
        if manifest.encode() != text {
            return Err("it is not in the one form that manifests have".into());
        }
        if Self::digest_of(&manifest.files) != manifest.digest {
            return Err("its digest is not that of its files".into());
        }
        Ok(manifest)
    }

    /// Writes it, and makes it durable.
    pub(super) fn publish(&self, storage: &Arc<dyn Storage>, paths: &Paths) -> Result<()> {
        let mut file = Unfinished::create(storage, &paths.manifest(self.number))?;
        file.put(self.encode().as_bytes())?;
        file.finish()?.publish()?;
        storage.sync_dir(&paths.seals()).map_err(Error::io("sync", &paths.seals()))
    }

    /// Reads the manifest of a seal, and returns it with its hash.
    ///
    /// # Errors
    /// `Damaged` if it is missing or is no manifest of this seal; `Io`.
    pub(super) fn read(storage: &dyn Storage, paths: &Paths, number: u32) -> Result<(Self, [u8; 32])> {
        let path = paths.manifest(number);
        let damaged = |reason: String| Error::damaged(&path, 0, None, reason, LOST);
        let text = read_small(storage, &path, BYTES_MAX)?;
        let hash = *blake3::hash(&text).as_bytes();
        let text = String::from_utf8(text).map_err(|_| damaged("it is no text".into()))?;
        let manifest =
            Self::parse(&text).map_err(|reason| damaged(format!("it is no manifest: {reason}")))?;
        if manifest.number != number {
            return Err(damaged(format!("it is the manifest of seal {}", manifest.number)));
        }
        Ok((manifest, hash))
    }
}

/// The lines of a manifest.
pub(super) struct Lines<'t>(std::iter::Peekable<std::str::Lines<'t>>);

impl<'t> Lines<'t> {
    /// The lines after the first, which must be this one.
    pub fn after(text: &'t str, title: &str) -> std::result::Result<Self, String> {
        let mut lines = text.lines().peekable();
        if lines.next() == Some(title) { Ok(Self(lines)) } else { Err("it does not begin as one".into()) }
    }

    fn optional(&mut self, key: &str) -> Option<&'t str> {
        let value = |line: &'t str| line.strip_prefix(key)?.strip_prefix(" = ");
        let value = self.0.peek().copied().and_then(value)?;
        self.0.next();
        Some(value)
    }

    fn value(&mut self, key: &str) -> std::result::Result<&'t str, String> {
        self.optional(key).ok_or_else(|| format!("`{key}` is missing"))
    }

    pub fn number<T: std::str::FromStr>(&mut self, key: &str) -> std::result::Result<T, String> {
        self.value(key)?.parse().map_err(|_| format!("`{key}` is no number"))
    }

    pub fn hash(&mut self, key: &str) -> std::result::Result<[u8; 32], String> {
        unhex(self.value(key)?).ok_or_else(|| format!("`{key}` is no hash"))
    }

    pub fn optional_number<T: std::str::FromStr>(
        &mut self,
        key: &str,
    ) -> std::result::Result<Option<T>, String> {
        let value = self.optional(key);
        value.map(|value| value.parse().map_err(|_| format!("`{key}` is no number"))).transpose()
    }

    fn optional_hash(&mut self, key: &str) -> std::result::Result<Option<[u8; 32]>, String> {
        let value = self.optional(key);
        value.map(|value| unhex(value).ok_or_else(|| format!("`{key}` is no hash"))).transpose()
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").expect("a string takes it");
        out
    })
}

fn unhex(quoted: &str) -> Option<[u8; 32]> {
    let digits = quoted.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_chunks::<2>();
    let bytes: Option<Vec<u8>> =
        pairs.0.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if pairs.1.is_empty() { bytes?.try_into().ok() } else { None }
}

/// A text of names, which have no control characters.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn unquoted(text: &str) -> Option<String> {
    let (text, rest) = take_quoted(text)?;
    rest.is_empty().then_some(text)
}

/// Reads a quoted text, and returns it with what follows.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, &inner[at + 1..])),
            '\\' => out.push(characters.next()?.1),
            _ => out.push(character),
        }
    }
    None
}

fn numbers<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(", ").map(|number| number.parse().ok()).collect()
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.strip_prefix('[')?;
    let mut pairs = Vec::new();
    while let Some(pair) = rest.strip_prefix('[') {
        let (first, after) = take_quoted(pair)?;
        let (second, after) = take_quoted(after.strip_prefix(", ")?)?;
        pairs.push((first, second));
        rest = after.strip_prefix(']')?;
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    (rest == "]").then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let file = |path: &str, digest| ManifestFile {
            path: path.into(),
            bytes: 10,
            hash: [3; 32],
            rows: 4,
            count: 2,
            lsns: [7, 9],
            digest,
        };
        let files = vec![
            file("orders/2026-07/00000003.parquet", Some([1; 32])),
            file("orders/2026-07/00000003.refunds.parquet", None),
        ];
        Manifest {
            number: 3,
            basis_lsn: 12,
            periods: vec![("month".into(), "2026-07".into()), ("a \"b\\".into(), "[x], \"".into())],
            orders: 2,
            lines: 4,
            refunds: 1,
            supersedes: vec![1, 2],
            previous: Some([4; 32]),
            digest: Manifest::digest_of(&files),
            sums: Sums { bytes: 5, hash: [6; 32] },
            files,
        }
    }

    #[test]
    fn a_manifest_is_read_again() {
        for changed in 0..4 {
            let mut manifest = manifest();
            match changed {
                1 => manifest.previous = None,
                2 => (manifest.supersedes, manifest.periods) = (Vec::new(), Vec::new()),
                3 => (manifest.files, manifest.digest) = (Vec::new(), Manifest::digest_of(&[])),
                _ => {}
            }
            assert_eq!(Manifest::parse(&manifest.encode()), Ok(manifest));
        }
    }

    #[test]
    fn every_changed_byte_is_refused_or_another_manifest() {
        let text = manifest().encode();
        for at in 0..text.len() {
            for bits in [1, 0x10] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= bits;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                // Where it still is one, its hash is another.
                if let Ok(other) = Manifest::parse(&changed) {
                    assert_ne!(other, manifest(), "byte {at}");
                }
            }
        }
    }
}
