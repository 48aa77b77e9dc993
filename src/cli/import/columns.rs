//! The columns of import files.

/// A column that is read: our name for it, and whether it is required.
pub(super) type Column = (&'static str, bool);

/// Columns of a member file, and whether they are required. `level`, `direct`, `downline` and `rank`, which
/// `export` also writes, follow from the rest and are not read.
pub(super) const MEMBER_COLUMNS: [Column; 19] = [
    ("member", true),
    ("sponsor", true),
    ("joined_at", true),
    ("parent", false),
    ("slot", false),
    ("code", false),
    ("status", false),
    ("role", false),
    ("id", false),
    ("lifetime_rank", false),
    ("turn", false),
    ("paid_once", false),
    ("market", false),
    ("owner", false),
    ("tags", false),
    ("level", false),
    ("direct", false),
    ("downline", false),
    ("rank", false),
];

/// Columns of a bonus file, and whether they are required.
pub(super) const BONUS_COLUMNS: [Column; 11] = [
    ("receiver", true),
    ("source", true),
    ("level", true),
    ("amount", true),
    ("kind", true),
    ("status", true),
    ("created_at", true),
    ("id", false),
    ("reference", false),
    ("number", false),
    ("reverses", false),
];
