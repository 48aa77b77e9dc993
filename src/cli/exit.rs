//! The exit codes of the program, all of them, and their causes.

use std::{fmt::Display, process::ExitCode};

use crate::{
    access::KeyFileError,
    config::ConfigError,
    durability,
    engine::{OpenError, SealError},
    http::auth::GateError,
    plan_file,
};

/// Exit codes. Scripts rely on them: never renumber. 2 is what the argument parser exits with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Any other failure, e.g. a file of data that cannot be read.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration, a plan file or a file that they name is not valid or cannot be read: trying again
    /// does not help.
    Config = 3,
    /// The data directory is in use by another process.
    Locked = 4,
    /// The data directory, or its key file, is damaged: file, position and loss are reported; nothing was
    /// changed.
    Damaged = 5,
    /// The data directory was written by a newer release; nothing was changed.
    NewerFormat = 6,
    /// The path is not one of our data directories, or is not empty where a new one is to be created.
    Foreign = 7,
    /// The directory has a different plan or width than requested.
    PlanDiffers = 8,
    /// `verify`, or `repair` of a directory whose files are whole, found a violation.
    VerifyFailed = 9,
    /// `import --strict` refused rows, or `import` refused all of them, so nothing was imported.
    RowsRefused = 10,
    /// No member has the given id, name or code, or no bonus has the id.
    Unknown = 11,
    /// No server responds at the given address.
    Unreachable = 12,
    /// The server, or a rule of the network, refused: credentials, a rule, overload; the reason is passed on.
    Refused = 13,
    /// `repair` found damage that it can repair without loss (`--apply`); nothing was changed.
    Repairable = 14,
    /// `repair` found damage, and would have to drop data that may have been acknowledged; nothing was
    /// changed.
    WouldLose = 15,
    /// `import` refused some rows and imported the others.
    RowsLeftOut = 16,
    /// Stopped by Ctrl-C or SIGTERM before the work was done; `serve` ends with 0 then.
    Interrupted = 130,
}

/// The table of exit codes for `--help`.
pub(super) const HELP: &str = "\
Exit codes:
  0    done
  1    something failed, e.g. a file of data that cannot be read
  2    the command line is wrong
  3    the configuration or a plan file is not valid, or cannot be read
  4    the data directory is in use by another process
  5    the data directory is damaged; nothing was changed
  6    the data directory was written by a newer release; nothing was changed
  7    not a data directory, or not empty where a new one is to be made
  8    the data directory has another plan than the one asked for
  9    verify or repair found something that does not hold
  10   import --strict refused rows, or import refused all; nothing was imported
  11   no member of that id, name or code, no bonus of that id
  12   no server answers at the address
  13   the server or a rule said no; the reason is passed on
  14   repair can be made without loss; nothing was changed
  15   repair would drop what may have been acknowledged; nothing was changed
  16   import refused some rows and imported the others
  130  interrupted; serve ends with 0 when it is told to stop";

/// Why a command failed: the message, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub exit: Exit,
    pub message: String,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl Failure {
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// A failure whose message has been printed already.
    pub fn silent(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    pub fn interrupted(what: &str) -> Self {
        Self::new(Exit::Interrupted, format!("interrupted: {what}"))
    }

    /// Returns the error line.
    pub fn line(&self) -> String {
        format!("upline: {}", self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<durability::Error> for Failure {
    fn from(error: durability::Error) -> Self {
        use durability::Error;
        let exit = match &error {
            Error::Locked { .. } => Exit::Locked,
            Error::NotADataDirectory { .. } | Error::Unfinished { .. } | Error::NotEmpty { .. } => {
                Exit::Foreign
            }
            Error::NewerFormat { .. } => Exit::NewerFormat,
            Error::InstanceLost { .. } => Exit::Damaged,
            Error::Damaged(damage) => {
                return Self::new(Exit::Damaged, format!("{damage}{}", way_out(damage)));
            }
            Error::Io { .. }
            | Error::PreviousIo { .. }
            | Error::NoRoom { .. }
            | Error::TooManyReaders { .. }
            | Error::ReadOnly
            | Error::GroupTooLarge { .. }
            | Error::Unstorable(_)
            | Error::OutOfOrder { .. }
            | Error::BelowRetained { .. }
            | Error::BadImage(_)
            | Error::BadSeal(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

/// Advice for damage on startup: every such refusal includes it.
fn way_out(damage: &durability::Damage) -> String {
    let Some(data_dir) = damage.data_dir() else { return String::new() };
    format!(
        "\nnothing was changed. What can be done, and what it would cost, says `upline repair --data-dir {}`",
        data_dir.display()
    )
}

/// Where the files are intact but the state is wrong, no file can be repaired.
const RESTORE: &str = "\nnothing was changed, and no file is damaged that could be repaired. Try the release \
                       that wrote the directory (`upline --version` there); else restore a backup, \
                       or send a copy of the directory to the maintainers of this program";

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let exit = match &error {
            KeyFileError::Newer { .. } => Exit::NewerFormat,
            KeyFileError::Damaged { .. } | KeyFileError::Renamed { .. } => Exit::Damaged,
            KeyFileError::Locked(_) => Exit::Locked,
            KeyFileError::Io { .. } | KeyFileError::NotOwner { .. } | KeyFileError::Full => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<GateError> for Failure {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Keys(error) => error.into(),
            GateError::Jwks(_) | GateError::Exposed(_) | GateError::Nobody | GateError::Gone(_) => {
                Self::new(Exit::Config, error)
            }
        }
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Files(error) => error.into(),
            SealError::Submit(error) => Self::new(Exit::Failed, error),
            SealError::Past(error) => Self::new(Exit::Failed, error),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match error {
            OpenError::Data(error) => return error.into(),
            OpenError::PlanDiffers { wanted, present, version } => {
                let differences = plan_file::diff(&present, &wanted).join("\n  ");
                let message = format!(
                    "the data directory has another plan (`{}`, version {version}) than the one asked \
                     for:\n  {differences}\n\
                     nothing was changed. Either leave out what asks for another plan (--plan, \
                     --max-children, their variables, their lines in the configuration file), \
                     and the directory's own is used; or start without it and change the plan of the running \
                     server with PUT /v1/plan. Width and placement are fixed once a member exists: \
                     for those export, and import under the new plan",
                    present.name
                );
                return Self::new(Exit::PlanDiffers, message);
            }
            OpenError::PlanInvalid(_) => Exit::Config,
            OpenError::Image { .. }
            | OpenError::Digest { .. }
            | OpenError::OutcomeDiffers { .. }
            | OpenError::Replay { .. }
            | OpenError::Gap { .. }
            | OpenError::Short { .. } => return Self::new(Exit::Damaged, format!("{error}{RESTORE}")),
            OpenError::Thread(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

/// Ends the process immediately: the user asked twice. Durable data stays durable; nothing else was promised.
pub(super) fn end_at_once(exit: Exit) -> ! {
    std::process::exit(i32::from(exit as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_exit_code() {
        let all = [
            Exit::Ok,
            Exit::Failed,
            Exit::Usage,
            Exit::Config,
            Exit::Locked,
            Exit::Damaged,
            Exit::NewerFormat,
            Exit::Foreign,
            Exit::PlanDiffers,
            Exit::VerifyFailed,
            Exit::RowsRefused,
            Exit::Unknown,
            Exit::Unreachable,
            Exit::Refused,
            Exit::Repairable,
            Exit::WouldLose,
            Exit::RowsLeftOut,
            Exit::Interrupted,
        ];
        for exit in all {
            let start = format!("  {:<5}", exit as u8);
            assert!(HELP.lines().any(|line| line.starts_with(&start)), "{exit:?}");
        }
        assert_eq!(HELP.lines().count(), all.len() + 1);
    }
}
