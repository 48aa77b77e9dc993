//! The table of sections: which lists of rows an image of a network has.

/// The sections of an image, one entry each; everything else about sections follows from it. Calls the macro
/// that it is given with this table:
///
/// - the number on disk, ascending by one, and the name, which `inspect` and the specification use
/// - the first format version that has the section
/// - the type of its rows
/// - `in`: the part of the state that keeps exactly these rows in a list of its own, the file of the list in
///   the folder of the part, and its type. The other sections are taken out of several parts and put back
///   into them by `state/restore.rs`.
/// - the columns of the rows on disk, named as the fields; `Text` is followed by the type of the lengths
/// - `before`: an earlier version of the section, with rows that convert into those of today (`From`)
///
/// An entry that was released never changes. When a row changes, its former fields move to a type of their
/// own, named after `before`. `snapshots/README.md` repeats the table, which a test compares.
///
/// # Adding a section
///
/// 1. Its entry here, as the last.
/// 2. Its list: a file that is named as the entry says, with the type of the rows, that of the list, and
///    [`Rows`](crate::core::store::rows::Rows) for it. Its folder's `mod.rs` has the line that Rust needs.
///
/// The part then has the list (`lists` in its fields), and views, snapshots, restores, digests and the
/// figures of memory include it. `UPLINE_REGENERATE_SPEC=1 cargo test --test tidy wiring::` writes the
/// specification.
#[doc(hidden)]
#[macro_export]
macro_rules! __sections {
    ($with:ident) => {
        $with! {
            2 Members "members" since 1: MemberRow {
                id: [u8; 16],
                joined_at: i64,
                sponsor: u32,
                parent: u32,
                slot: u32,
                flags: u32,
                paid_as: u16,
                lifetime: u16,
                turn: u16,
            }
            3 Codes "codes" since 1: CodeRow { member: u32, code: Text<u8> }
            4 Triggers "triggers" since 1: TriggerRow {
                lsn: u64,
                time: i64,
                amount: i64,
                source: u32,
                first_entry: u32,
                plan_version: u32,
                kind: u16,
            }
            5 Entries "entries" since 1: EntryRow { amount: i64, receiver: u32, level: u32, status: u8 }
            6 Keys "keys" since 1: KeyRow in requests.keys: Keys {
                key: [u8; 16],
                fingerprint: u64,
                time: i64,
                lsn: u64,
                outcome: [u8; 24],
            }
            7 Unchanged "unchanged" since 2: UnchangedRow in requests.unchanged: UnchangedList {
                lsn: u64,
                reason: u16,
            }
            8 RowIds "row_ids" since 2: RowIdRow in ledger.row_ids: CarriedIds {
                id: [u8; 16],
                index: u32,
                kind: u8,
            }
            9 References "references" since 3: ReferenceRow in ledger.references: References {
                trigger: u32,
                text: Text<u16>,
            }
            10 Reversals "reversals" since 3: ReversalRow in ledger.reversals: Reversals {
                entry: u32,
                reverses: u32,
            }
            11 Once "once" since 4: OnceRow in ledger.once: Once { member: u32, kind: u16 }
            12 Released "released" since 5: ReleasedRow in ledger.released: Released { entry: u32, lsn: u64 }
            13 Customers "customers" since 6: CustomerRow in orders.customers: Customers {
                member: u32,
                id: Text<u8>,
            }
            14 OrderGroups "order_groups" since 6: GroupRow in orders.groups: Groups { id: Text<u8> }
            15 Periods "periods" since 6: PeriodRow in orders.periods: Periods {
                opened: u64,
                start: i64,
                end: i64,
                grace_until: i64,
                calendar: u16,
                live: u16,
                live_levels: u8,
                state: u8,
                was_locked: u8,
                label: Text<u8>,
            }
            16 Orders "orders" since 6: OrderRow in orders.placed: Placed {
                lsn: u64,
                time: i64,
                fingerprint: u64,
                tags: u64,
                customer: u32,
                group: u32,
                kind: u16,
                market: u16,
                lines: u8,
                credits: u8,
                calendars: u8,
                values: u8,
                id: Text<u8>,
            }
            17 Credits "credits" since 6: CreditRow in orders.credits: Credits {
                order: u32,
                member: u32,
                part: u32,
            }
            18 Values "values" since 6: ValueRow in orders.values: Values { value: i64 }
            19 Bookings "bookings" since 6: BookingRow in orders.bookings: Bookings {
                order: u32,
                period: u32,
                calendar: u16,
            }
            20 Refunds "refunds" since 6: RefundRow in orders.refunds: Refunds {
                lsn: u64,
                time: i64,
                fingerprint: u64,
                order: u32,
                lines: u8,
                calendars: u8,
                id: Text<u8>,
            }
            21 RefundLines "refund_lines" since 6: RefundLineRow in orders.refund_lines: RefundLines {
                from: u32,
                to: u32,
                line: u8,
            }
            22 RefundBookings "refund_bookings" since 6:
                RefundBookingRow in orders.refund_bookings: RefundBookings { period: u32, state: u8 }
            23 PeriodSteps "period_steps" since 6: StepRow in orders.steps: Steps {
                lsn: u64,
                time: i64,
                period: u32,
                calendar: u16,
                step: u8,
                by_kind: u8,
                by: Text<u8>,
                reason: Text<u16>,
            }
            24 Runs "runs" since 6: RunRow in orders.runs: Runs {
                lsn: u64,
                time: i64,
                up_to_lsn: u64,
                pay_lines: u64,
                period: u32,
                plan_version: u32,
                calendar: u16,
                by_kind: u8,
                digest: [u8; 32],
                by: Text<u8>,
            }
            25 Attributes "attributes" since 6: AttributeRow in orders.attributes: Attributes {
                member: u32,
                kind: u8,
                number: u16,
                value: u32,
                from: i64,
                until: i64,
                effective: i64,
                lsn: u64,
            }
            26 Seals "seals" since 7: SealRow in orders.seals: Seals {
                lsn: u64,
                time: i64,
                as_of: u64,
                orders: u32,
                refunds: u32,
                period: u32,
                calendar: u16,
                by_kind: u8,
                manifest: [u8; 32],
                boundary: u64,
                network: [u8; 32],
                by: Text<u8>,
            }
            27 Opening "opening" since 7: OpeningRow in orders.opening: Opening {
                member: u32,
                kind: u8,
                calendar: u16,
                position: u32,
                time: i64,
                value: i64,
                decimals: u8,
                name: Text<u8>,
                text: Text<u8>,
            }
            28 OpeningClose "opening_close" since 7:
                OpeningCloseRow in orders.opening_close: OpeningClose {
                lsn: u64,
                time: i64,
                rows: u64,
                digest: [u8; 32],
                by_kind: u8,
                by: Text<u8>,
            }
            29 SealedTotals "sealed_totals" since 7: SealedTotalRow in orders.sealed_totals: SealedTotals {
                orders: u64,
                refunds: u64,
                amount: i64,
                volume_1: i64,
                volume_2: i64,
                volume_3: i64,
                volume_4: i64,
                volume_5: i64,
                volume_6: i64,
                volume_7: i64,
                volume_8: i64,
                period: u32,
                calendar: u8,
            }
        }
    };
}
pub use __sections as sections;
