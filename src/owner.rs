//! Ownership of files.
//!
//! A server often runs as its own user, and root runs commands on its directory. Files are readable only by
//! their owner, so a file that root leaves there would keep the server from ever starting. Therefore new
//! files in a directory get the owner and group of the directory, and in a data directory those of its
//! `instance` file, which the server created: the directory itself may be a mount with another owner.

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, fchown},
    path::Path,
};

/// The user who may change ownership.
const ROOT: u32 = 0;
/// A file that a data directory has throughout its life.
const INSTANCE: &str = "instance";

/// The owner that files of a directory should have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
    /// Whether the serving user is known; otherwise only the directory's owner is.
    pub is_certain: bool,
}

impl Owner {
    /// Returns the owner of the files in a directory.
    ///
    /// # Errors
    /// If the directory cannot be examined.
    pub fn of_files_in(directory: &Path) -> io::Result<Self> {
        let named = |data: &Metadata, is_certain| Self { user: data.uid(), group: data.gid(), is_certain };
        match fs::symlink_metadata(directory.join(INSTANCE)) {
            Ok(data) if data.is_file() => Ok(named(&data, true)),
            _ => fs::metadata(directory).map(|data| named(&data, false)),
        }
    }

    /// Changes the owner of a file or directory that this process created. If only the group cannot be
    /// changed, that is no error: its user can read it all the same.
    ///
    /// # Errors
    /// If this process is not permitted to.
    pub fn take(self, made: &File) -> io::Result<()> {
        let present = made.metadata()?;
        if (present.uid(), present.gid()) == (self.user, self.group) {
            return Ok(());
        }
        match fchown(made, Some(self.user), Some(self.group)) {
            Err(_) if present.uid() == self.user => Ok(()),
            given => given,
        }
    }
}

/// Gives what was just created in a directory to its owner, if root created it. What another user creates
/// stays that user's: its ownership cannot be changed, and a directory that several users write to is served
/// by one of them that can read its files.
///
/// # Errors
/// If root may not change the ownership.
pub fn hand_over(made: &File, directory: &Path) -> io::Result<()> {
    let owner = Owner::of_files_in(directory)?;
    let maker = made.metadata()?.uid();
    if maker == owner.user || maker != ROOT { Ok(()) } else { owner.take(made) }
}

/// Creates one directory that only its owner can look into. An existing one is left unchanged.
///
/// # Errors
/// If it cannot be created, or given to the owner of its parent.
pub fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => hand_over_directory(path),
    }
}

fn hand_over_directory(path: &Path) -> io::Result<()> {
    let made = File::open(path)?;
    let (opened, named) = (made.metadata()?, fs::symlink_metadata(path)?);
    // Somebody who may rename things here has replaced it with another one, which we must not give away.
    if !named.is_dir() || (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    hand_over(&made, parent.unwrap_or(Path::new(".")))
}

/// Creates a directory and its missing parents.
///
/// # Errors
/// As [`make_directory`].
pub fn make_directories(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.is_dir()).collect();
    missing.into_iter().rev().try_for_each(make_directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(path: &Path) -> (u32, u32) {
        let data = fs::symlink_metadata(path).expect("it is there");
        (data.uid(), data.gid())
    }

    #[test]
    fn the_instance_says_whose_a_data_directory_is() {
        let place = tempfile::tempdir().expect("a directory");
        let of_directory = Owner::of_files_in(place.path()).expect("it can be looked at");
        assert_eq!((of_directory.user, of_directory.group), owner(place.path()));
        assert!(!of_directory.is_certain);
        fs::create_dir(place.path().join(INSTANCE)).expect("a directory");
        assert!(!Owner::of_files_in(place.path()).expect("it can be looked at").is_certain, "it is no file");
        fs::remove_dir(place.path().join(INSTANCE)).expect("it is empty");
        fs::write(place.path().join(INSTANCE), "").expect("a file");
        assert!(Owner::of_files_in(place.path()).expect("it can be looked at").is_certain);
        assert!(Owner::of_files_in(&place.path().join("nowhere")).is_err());
    }

    /// Only root can change ownership; for anybody else everything stays that user's.
    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_directory() {
        let place = tempfile::tempdir().expect("a directory");
        let (root, above) = (place.path(), place.path().join("above"));
        make_directory(&above).expect("a directory");
        let is_root = owner(root).0 == ROOT;
        let wanted = if is_root { (4_711, 4_712) } else { owner(root) };
        if is_root {
            std::os::unix::fs::chown(&above, Some(wanted.0), Some(wanted.1)).expect("root may");
        }
        let below = above.join("a/b");
        make_directories(&below).expect("directories");
        make_directories(&below).expect("they are there");
        for path in [above.join("a"), below.clone()] {
            assert_eq!(owner(&path), wanted, "{}", path.display());
            assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o777, 0o700);
        }
        let file = below.join("file");
        hand_over(&File::create(&file).expect("a file"), &below).expect("root may");
        assert_eq!(owner(&file), wanted);
        // A directory of root's that another user serves.
        if is_root {
            std::os::unix::fs::chown(&below, Some(ROOT), Some(ROOT)).expect("root may");
            fs::write(below.join(INSTANCE), "").expect("a file");
            std::os::unix::fs::chown(below.join(INSTANCE), Some(wanted.0), Some(wanted.1)).expect("root may");
            let other = below.join("other");
            hand_over(&File::create(&other).expect("a file"), &below).expect("root may");
            assert_eq!(owner(&other), wanted);
        }
        assert!(make_directory(&file).is_err(), "a file is no directory");
    }
}
