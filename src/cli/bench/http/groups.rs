//! The groups that a server committed.

/// Figures from the server's metrics, since its start.
#[derive(Clone, Copy)]
pub(super) struct GroupFigures {
    syncs: f64,
    commands: f64,
    sync_seconds: f64,
}

impl GroupFigures {
    /// Reads them from the text of `/metrics`.
    pub fn of(text: &str) -> Self {
        Self {
            syncs: metric(text, "upline_group_commands_count"),
            commands: metric(text, "upline_group_commands_sum"),
            sync_seconds: metric(text, "upline_write_sync_seconds_sum"),
        }
    }

    pub fn since(self, earlier: Self) -> Self {
        Self {
            syncs: self.syncs - earlier.syncs,
            commands: self.commands - earlier.commands,
            sync_seconds: self.sync_seconds - earlier.sync_seconds,
        }
    }

    /// Returns commands per group; `None` without any group.
    pub fn mean(self) -> Option<f64> {
        (0.0 < self.syncs).then(|| self.commands / self.syncs)
    }

    pub fn sync_mean_micros(self) -> Option<f64> {
        (0.0 < self.syncs).then(|| self.sync_seconds / self.syncs * 1e6)
    }
}

pub(super) fn metric(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}
