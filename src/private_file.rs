//! Files for their owner alone: the one place where the program creates files.
//!
//! What is written here is members' and money data, so each file has mode 0600 from its first moment on,
//! whatever the umask says. What stood under the name before is never written into: it may have another mode,
//! or be open somewhere else.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

const MODE: u32 = 0o600;

fn for_owner_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    options
}

/// Creates a file for reading and writing, with mode 0600.
///
/// # Errors
/// As the operating system's call, `AlreadyExists` if anything has the name, a dangling link included.
pub fn create_new(path: &Path) -> io::Result<File> {
    for_owner_alone().create_new(true).open(path)
}

/// As [`create_new`], after removing a file that has the name: what a process that was killed left of its
/// unfinished work. A link is removed itself, not followed.
///
/// # Errors
/// As the operating system's calls.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_new(path)
}

/// Opens a file for reading and writing, which is created with mode 0600 if it is not there. For lock files,
/// which hold nothing.
///
/// # Errors
/// As the operating system's call.
pub fn open_or_create(path: &Path) -> io::Result<File> {
    for_owner_alone().create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_has_the_name_is_replaced_and_not_written_into() {
        let place = tempfile::tempdir().unwrap();
        let (path, other) = (place.path().join("file"), place.path().join("other"));
        create_new(&path).unwrap();
        assert_eq!(mode(&path), MODE);
        assert_eq!(create_new(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        create_anew(&path).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (MODE, Vec::new()));
        fs::write(&other, "somebody else's").unwrap();
        fs::remove_file(&path).unwrap();
        symlink(&other, &path).unwrap();
        create_anew(&path).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "somebody else's");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert!(create_anew(place.path()).is_err(), "a directory is not replaced");
        fs::write(&path, "kept").unwrap();
        open_or_create(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        open_or_create(&place.path().join("new")).unwrap();
        assert_eq!(mode(&place.path().join("new")), MODE);
    }
}
