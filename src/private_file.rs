//! Private files: the only place where the program creates files, and where it opens the files of a data
//! directory.
//!
//! They hold member and money data, so each file has mode 0600 from the start, whatever the umask. An
//! existing file of the same name is never written into: it may have another mode, or be open elsewhere.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

const MODE: u32 = 0o600;

fn for_owner_alone() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    options
}

/// Creates a file for reading and writing, with mode 0600.
///
/// # Errors
/// As the system call; `AlreadyExists` if anything has the name, including a dangling link.
pub fn create_new(path: &Path) -> io::Result<File> {
    for_owner_alone().create_new(true).open(path)
}

/// As [`create_new`], after removing an existing file of that name, such as unfinished work of a killed
/// process. A link itself is removed, not followed.
///
/// # Errors
/// As the system calls.
pub fn create_anew(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create_new(path)
}

/// Opens an existing file without waiting; opening a pipe waits for its other end.
///
/// # Errors
/// As the system call; `IsADirectory`, and `Unsupported` for a pipe, a socket or a device.
pub fn open_regular(path: &Path, for_writing: bool) -> io::Result<File> {
    let no_file = || io::Error::new(ErrorKind::Unsupported, "it is no regular file");
    let mut options = OpenOptions::new();
    options.read(true).write(for_writing).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(|error| {
        // A socket, or a device without a driver.
        if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) { no_file() } else { error }
    })?;
    match file.metadata()?.file_type() {
        kind if kind.is_file() => Ok(file),
        kind if kind.is_dir() => Err(ErrorKind::IsADirectory.into()),
        _ => Err(no_file()),
    }
}

/// Opens a file for reading and writing; creates it with mode 0600 if absent. For lock files, which hold
/// nothing.
///
/// # Errors
/// As the system call.
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
