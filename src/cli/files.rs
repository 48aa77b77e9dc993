//! Detects names of the same file. A command that wrote two outputs into one file would lose the first, and
//! one that overwrote its input would lose that.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use super::exit::{Exit, Failure};

/// Maximum links followed to a file that does not exist yet; the same as the system's limit.
const LINKS_MAX: usize = 40;

/// A file named by a command, and by which argument.
pub(super) struct Named<'a> {
    /// The argument in messages, e.g. `--output`.
    pub how: &'a str,
    pub path: &'a Path,
}

/// The target of a name.
#[derive(PartialEq, Eq, Debug)]
enum Place {
    /// An existing file, regardless of its names.
    There { device: u64, inode: u64 },
    /// A file that would be created in a directory.
    Missing { device: u64, inode: u64, name: std::ffi::OsString },
}

impl Place {
    /// Returns `None` where this is unknown, which the command will report when it writes there, and for
    /// devices, which lose nothing.
    fn of(path: &Path) -> Option<Self> {
        let mut path = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            if let Ok(data) = fs::metadata(&path) {
                return Self::of_data(&data);
            }
            let directory =
                path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            match fs::read_link(&path) {
                // A dangling link.
                Ok(target) => path = directory.join(target),
                Err(_) => {
                    let data = fs::metadata(directory).ok()?;
                    return Some(Place::Missing {
                        device: data.dev(),
                        inode: data.ino(),
                        name: path.file_name()?.to_owned(),
                    });
                }
            }
        }
        None
    }

    fn of_data(data: &fs::Metadata) -> Option<Self> {
        (!data.file_type().is_char_device()).then(|| Place::There { device: data.dev(), inode: data.ino() })
    }
}

/// Returns whether a name refers to a device, which loses nothing.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.file_type().is_char_device())
}

/// Refuses two names of one file: through links, different spellings of a path, or hard links.
///
/// # Errors
/// `Usage`, with both names.
pub(super) fn refuse_same(named: &[Named<'_>]) -> Result<(), Failure> {
    let places: Vec<Option<Place>> = named.iter().map(|file| Place::of(file.path)).collect();
    for (at, (later, place)) in named.iter().zip(&places).enumerate() {
        let is_same = |other: &usize| match (place, &places[*other]) {
            (Some(one), Some(other)) => one == other,
            _ => later.path == named[*other].path && !is_device(later.path),
        };
        if let Some(earlier) = (0..at).find(is_same) {
            let message = format!(
                "{} and {} are one file ({}): one would be written over the other",
                named[earlier].how,
                later.how,
                later.path.display()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
    }
    Ok(())
}

/// Refuses a name of the file that standard output is redirected to.
///
/// # Errors
/// `Usage`.
pub(super) fn refuse_standard_output(file: &Named<'_>) -> Result<(), Failure> {
    let data = io::stdout().as_fd().try_clone_to_owned().and_then(|out| File::from(out).metadata());
    let out = data.ok().filter(fs::Metadata::is_file).and_then(|data| Place::of_data(&data));
    if out.is_some() && out == Place::of(file.path) {
        let message = format!(
            "{} is the file that standard output goes to: one would be written over the other",
            file.how
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

/// Refuses a name in or below a directory that the command reads.
///
/// # Errors
/// `Usage`.
pub(super) fn refuse_inside(file: &Named<'_>, directory: &Path) -> Result<(), Failure> {
    let Ok(directory) = directory.canonicalize() else { return Ok(()) };
    let parent = file.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The parent of the file itself, if it exists: a link may lead elsewhere.
    let in_parent =
        |_| parent.canonicalize().map(|parent| parent.join(file.path.file_name().unwrap_or_default()));
    let target: io::Result<PathBuf> = file.path.canonicalize().or_else(in_parent);
    if target.is_ok_and(|target| target.starts_with(&directory)) {
        let message = format!(
            "{} is in the data directory {}, which is no place for other files",
            file.how,
            directory.display()
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn is_refused(one: &Path, other: &Path) -> bool {
        let named = [Named { how: "one", path: one }, Named { how: "the other", path: other }];
        refuse_same(&named).is_err()
    }

    #[test]
    fn names_of_one_file_are_told() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::write(at("a"), "").unwrap();
        fs::write(at("b"), "").unwrap();
        fs::hard_link(at("a"), at("a-too")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink(at("a"), at("to-a")).unwrap();
        symlink("to-a", at("to-to-a")).unwrap();
        symlink(at("new"), at("to-new")).unwrap();
        symlink("folder", at("same-folder")).unwrap();
        symlink("round", at("round")).unwrap();
        // one, other, whether they are one file
        let table = [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "./a", true),
            ("a", "folder/../a", true),
            ("a", "a-too", true),
            ("a", "to-a", true),
            ("a-too", "to-to-a", true),
            ("b", "to-a", false),
            ("new", "new", true),
            ("new", "./new", true),
            ("new", "to-new", true),
            ("new", "newer", false),
            ("folder/new", "same-folder/new", true),
            ("folder/new", "new", false),
            ("nowhere/a", "nowhere/b", false),
            ("round", "a", false),
        ];
        for (one, other, expected) in table {
            assert_eq!(is_refused(&at(one), &at(other)), expected, "{one} and {other}");
            assert_eq!(is_refused(&at(other), &at(one)), expected, "{other} and {one}");
        }
        assert!(!is_refused(Path::new("/dev/null"), Path::new("/dev/null")));
    }

    #[test]
    fn what_is_read_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("data");
        fs::create_dir_all(data.join("log")).unwrap();
        fs::write(data.join("instance"), "").unwrap();
        symlink(data.join("instance"), place.path().join("link")).unwrap();
        // file, whether it is inside
        let table = [
            ("data/instance", true),
            ("data/log/new", true),
            ("link", true),
            ("data/../other", false),
            ("data2", false),
        ];
        for (name, expected) in table {
            let path = place.path().join(name);
            assert_eq!(refuse_inside(&Named { how: "it", path: &path }, &data).is_err(), expected, "{name}");
        }
    }
}
