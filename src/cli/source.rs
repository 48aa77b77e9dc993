//! Where a command finds its network: in a data directory, which commands that only read open without
//! changing a byte of it, or on a running server.

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    remote::{self, Remote},
    screen,
};
use crate::{
    config::Config,
    durability::storage::Disk,
    engine::{self, Loaded},
};

#[derive(clap::Args, Clone, Default, Debug)]
#[group(id = "source")]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    remote: remote::Args,
}

pub(super) enum Source {
    Directory(Box<Loaded>),
    Server(Remote),
}

impl Args {
    /// Opens the named source; without an address the data directory.
    ///
    /// # Errors
    /// Errors of the configuration, the directory, the address.
    pub fn open(&self) -> Result<Source, Failure> {
        if let Some(remote) = self.server()? {
            return Ok(Source::Server(remote));
        }
        let config = self.config()?;
        let mut loading = screen::Loading::new();
        let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |progress| loading.show(progress));
        loading.finish();
        loaded.map(|loaded| Source::Directory(Box::new(loaded))).map_err(|error| suggest_server(error.into()))
    }

    /// Returns the named server, if one is named.
    ///
    /// # Errors
    /// Errors of the address and of the credentials.
    pub fn server(&self) -> Result<Option<Remote>, Failure> {
        self.remote.url.as_ref().map(|url| Remote::new(url, &self.remote)).transpose()
    }

    /// Returns the configuration that names the data directory.
    ///
    /// # Errors
    /// Every error found in it.
    pub fn config(&self) -> Result<Config, Failure> {
        self.data_dir.resolve([].into())
    }
}

/// Suggests querying the server if a directory is locked by one.
pub(super) fn suggest_server(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Locked => {
            let message =
                format!("{}; if that is a server, ask it: --url http://127.0.0.1:8000", failure.message);
            Failure { message, ..failure }
        }
        _ => failure,
    }
}
