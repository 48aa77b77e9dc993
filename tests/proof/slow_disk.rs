//! A disk with a visible delay between a write and its sync.

use std::{io, path::Path, time::Duration};

use upline::durability::surrounded::{Around, FileCall};

/// A storage whose file syncs are slow.
#[derive(Debug)]
pub struct SlowSync(pub Duration);

impl Around for SlowSync {
    fn around<R>(&self, call: FileCall, _: &Path, run: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if call == FileCall::SyncData {
            std::thread::sleep(self.0);
        }
        run()
    }
}
