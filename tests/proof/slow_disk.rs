//! A disk on which a moment between a write and its sync can be seen.

use std::{io, path::Path, time::Duration};

use upline::durability::surrounded::{Around, FileCall};

/// Syncs of a file's content take their time.
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
