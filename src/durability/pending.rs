//! An interrupted cut of the log: whether it belongs to this log, and what it drops.
//!
//! The file `log/cut` drops commands that are in the log, so a copy of it that is older than the log must not
//! be trusted. Three checks tell:
//!
//! - While it exists, nothing after it counts as acknowledged: the file `durable` records no more than its
//!   LSN (`log/journal.rs`).
//! - It holds the chain at its LSN, and the log must have the same.
//! - After the cut of a batch comes the batch and nothing else. It is synced only where a segment ends, so
//!   none of its frames records more as durable than the LSN of the cut, or what the earlier segments hold. A
//!   frame of acknowledged commands that is followed by another does.
//!
//! A cut that fails any of these is refused, and nothing is changed.

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::Instance,
    log::{
        evidence,
        frame::{self, Form},
        rewrite::{self, Intent, Purpose},
        whole::read_whole,
    },
    names,
    paths::{Paths, names_in},
    storage::Storage,
};

/// An interrupted cut: the next opening for writing finishes it first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PendingCut {
    /// LSN of the last command that is kept.
    pub after: u64,
    /// LSN of the last command found after it, which is dropped; equal to `after` if there is none.
    pub last_lsn: u64,
}

impl std::fmt::Display for PendingCut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { after, last_lsn } = self;
        write!(
            out,
            "a cut of the log, or an import of all or nothing, was interrupted: the log ends with LSN {after}"
        )?;
        if after < last_lsn {
            let (first, commands) = (after + 1, last_lsn - after);
            write!(
                out,
                "; {commands} commands behind it (LSN {first} to {last_lsn}), never acknowledged, \
                 go with the next opening for writing"
            )?;
        }
        Ok(())
    }
}

/// Returns the cut that the directory holds, if it can belong to its log. `floor` is an LSN known to have
/// been acknowledged, from a snapshot. Reads each segment once.
///
/// # Errors
/// `Damaged` for a cut that does not belong to this log; `Io`.
pub(super) fn find(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    floor: u64,
) -> Result<Option<(Intent, PendingCut)>> {
    let Some(intent) = rewrite::interrupted_cut(storage, paths, &instance.id.0)? else { return Ok(None) };
    let after = intent.after;
    if after < floor {
        return Err(refusal(
            paths,
            after,
            floor,
            &format!("a snapshot tells of commands up to {floor}: no cut goes below a snapshot"),
        ));
    }
    let said = evidence::recorded(storage, paths, &instance.id.0)?.map_or(0, |durable| durable.lsn);
    if after < said {
        return Err(refusal(
            paths,
            after,
            said,
            &format!("that they were acknowledged up to {said} stands in the file `durable`"),
        ));
    }
    let behind = behind(storage, paths, instance, after)?;
    if let Some(durable) = behind.durable_lsn.filter(|_| intent.purpose == Purpose::Batch) {
        return Err(refusal(
            paths,
            after,
            durable,
            &format!("what follows there is not the batch that it is for: it was durable up to {durable}"),
        ));
    }
    Ok(Some((intent, PendingCut { after, last_lsn: behind.last_lsn })))
}

/// Checks that the log, which has this chain after the LSN of the cut, is the one that the cut was made for.
pub(super) fn check_chain(paths: &Paths, cut: &Intent, chain: Option<u64>, last_lsn: u64) -> Result<()> {
    if cut.chain == 0 || chain == Some(cut.chain) {
        return Ok(());
    }
    let found = chain.map_or_else(|| "none".into(), |chain| format!("{chain:016x}"));
    Err(refusal(
        paths,
        cut.after,
        last_lsn,
        &format!("the log has the chain {found} there, the cut {:016x}: it is of another history", cut.chain),
    ))
}

fn refusal(paths: &Paths, after: u64, known: u64, why: &str) -> Error {
    let reason = format!(
        "it says that the log is to be cut after LSN {after}, and {why}. It is not of this log, \
         as it is now: such as one from an older copy of the directory. Move it away, \
         and the log stands as it is"
    );
    Error::damaged(
        &paths.cut(),
        0,
        Some(after + 1),
        reason,
        format!("commands from LSN {} to at least {}", after + 1, known.max(after + 1)),
    )
}

/// What the log holds after a cut.
struct Behind {
    last_lsn: u64,
    /// What a frame there records as durable, if that is more than a batch's frame can.
    durable_lsn: Option<u64>,
}

fn behind(storage: &dyn Storage, paths: &Paths, instance: &Instance, after: u64) -> Result<Behind> {
    let names = names_in(storage, &paths.log(), "all commands after the snapshot")?;
    let mut behind = Behind { last_lsn: after, durable_lsn: None };
    for number in names.iter().filter_map(|name| names::segment_number(name)) {
        let content = match read_whole(storage, &paths.segment(number)) {
            Err(Error::Damaged(_)) => continue,
            content => content?,
        };
        let forms = [2, FORMAT_VERSION].map(|version| Form::new(version, &instance.id.0, number));
        let mut synced = None;
        for at in frame::places(&content) {
            let Some(header) = forms.iter().find_map(|form| frame::parse_header(&content[at..], *form))
            else {
                continue;
            };
            // All earlier segments are durable when the first frame of this one is written.
            let most = after.max(*synced.get_or_insert(header.first_lsn.saturating_sub(1)));
            if after + 1 < header.next_lsn() {
                behind.last_lsn = behind.last_lsn.max(header.next_lsn() - 1);
            }
            if most < header.durable_lsn {
                behind.durable_lsn = behind.durable_lsn.max(Some(header.durable_lsn));
            }
        }
    }
    Ok(behind)
}
