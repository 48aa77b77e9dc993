//! Whose files they are.
//!
//! A server often runs as a user of its own, and root runs commands on its directory. Files are readable by
//! their owner alone, so what root makes there would keep the server from starting for ever. Therefore what
//! is made in a directory gets the owner and the group of the directory, and in a data directory those of its
//! file `instance`, which the server made: the directory itself may be a mount that belongs to somebody else.

use std::{
    fs::{self, DirBuilder, File, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, fchown},
    path::Path,
};

/// The user who may give files away.
const ROOT: u32 = 0;
/// What a data directory has from its first moment to its last.
const INSTANCE: &str = "instance";

/// To whom the files of a directory belong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    pub user: u32,
    pub group: u32,
    /// It is known who serves the directory; otherwise it is only known whose the directory is.
    pub is_certain: bool,
}

impl Owner {
    /// Of the files in a directory.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn of_files_in(directory: &Path) -> io::Result<Self> {
        let named = |data: &Metadata, is_certain| Self { user: data.uid(), group: data.gid(), is_certain };
        match fs::symlink_metadata(directory.join(INSTANCE)) {
            Ok(data) if data.is_file() => Ok(named(&data, true)),
            _ => fs::metadata(directory).map(|data| named(&data, false)),
        }
    }

    /// Gives a file or directory away that this process made. Where only the group cannot be given, its user
    /// reads it all the same.
    ///
    /// # Errors
    /// When this process may not.
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

/// What was just made in a directory goes to its owner, if root made it. What another user makes stays that
/// user's: it cannot be given away, and a directory that several users write to is served by one of them that
/// can read what is there.
///
/// # Errors
/// When root may not give it away.
pub fn hand_over(made: &File, directory: &Path) -> io::Result<()> {
    let owner = Owner::of_files_in(directory)?;
    let maker = made.metadata()?.uid();
    if maker == owner.user || maker != ROOT { Ok(()) } else { owner.take(made) }
}

/// Makes one directory that only its owner can look into. One that is there is left as it is.
///
/// # Errors
/// When it cannot be made, or given to the owner of the one that it is in.
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
    // Somebody who may rename things here has put another one in its place: that is not ours to give away.
    if !named.is_dir() || (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(ErrorKind::AlreadyExists.into());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    hand_over(&made, parent.unwrap_or(Path::new(".")))
}

/// Makes a directory, and those above it that are missing.
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

    /// Only root can try it; for anybody else everything stays that user's.
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
        // A directory of root's in which somebody else serves.
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
