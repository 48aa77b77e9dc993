//! Every way in which bytes can differ from what was written: refused, or harmless, and never a silent loss.

use super::*;
use crate::durability::{
    Damage, inspect_snapshot, log::frame, snapshot::fuzzing::reseal_snapshot, test_data::image,
};

fn used(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

fn open_at(memory: &Memory) -> Result<Opened> {
    open(&memory.shared(), Path::new(ROOT))
}

/// Opens a changed copy. A refusal must have changed nothing; otherwise everything that was there before must
/// still be there.
fn refused_or_harmless(original: &Memory, path: &Path, content: &[u8], last: u64) -> bool {
    let memory = original.copy();
    memory.set_content(path, content);
    let before = memory.all();
    match open_at(&memory) {
        Err(Error::Damaged(damage)) => {
            assert!(!damage.lost.is_empty() && !damage.reason.is_empty());
            assert_eq!(memory.all(), before, "a refusal changes nothing");
            true
        }
        Err(error) => panic!("{error:?}"),
        Ok(mut opened) => {
            assert_tail(&mut opened, 1, last);
            false
        }
    }
}

fn damage(memory: &Memory) -> Damage {
    match open_at(memory) {
        Err(Error::Damaged(damage)) => *damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_rest_is_kept() {
    let memory = with_groups(24);
    unsay(&memory);
    let content = memory.content(&segment(1)).unwrap();
    let end = used(&content);
    let frame_bytes = (end - 512) / 24;
    for cut in end - 8 * frame_bytes..end {
        let mut torn = content.clone();
        torn[cut..].fill(0);
        let memory = memory.copy();
        memory.set_content(&segment(1), &torn);
        let mut opened = open_at(&memory).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let whole = ((cut - 512) / frame_bytes) as u64;
        let kept = opened.report.log_last_lsn / 3;
        // A frame that lacks only bytes of its trailer is complete in all that matters.
        assert!(
            kept == whole
                || kept == whole + 1 && (cut + frame::TRAILER.len() - 512) / frame_bytes == kept as usize,
            "cut at {cut}"
        );
        assert_eq!(
            opened.report.torn.is_some(),
            kept == whole && !(cut - 512).is_multiple_of(frame_bytes),
            "cut at {cut}"
        );
        assert_tail(&mut opened, 1, kept * 3);
        // The log continues after the cut, and what was mended stays mended.
        append(&mut opened.journal, kept * 3 + 1, 3).unwrap();
        drop(opened);
        let mut opened = open_at(&memory).unwrap();
        assert_eq!(opened.report.torn, None);
        assert_tail(&mut opened, 1, kept * 3 + 3);
    }
}

#[test]
fn every_flipped_bit_in_a_small_log_is_refused_or_harmless() {
    let memory = with_groups(7);
    let content = memory.content(&segment(1)).unwrap();
    let end = used(&content);
    let (mut refused, mut harmless) = (0, 0);
    for at in 0..end + 64 {
        for bit in 0..8 {
            let mut flipped = content.clone();
            flipped[at] ^= 1 << bit;
            let result = refused_or_harmless(&memory, &segment(1), &flipped, 21);
            assert!(result || end <= at, "byte {at} bit {bit} is part of the log");
            *(if result { &mut refused } else { &mut harmless }) += 1;
        }
    }
    assert_eq!((refused, harmless), (end * 8, 64 * 8));
}

#[test]
fn every_flipped_byte_in_a_log_of_several_segments_is_refused_or_harmless() {
    let memory = with_groups(150);
    for number in 1..=3 {
        let content = memory.content(&segment(number)).unwrap();
        let end = used(&content);
        // All of the frames, and some of the zeros after them.
        for at in (0..end).step_by(3).chain((end..content.len()).step_by(509)) {
            let mut flipped = content.clone();
            flipped[at] ^= 0x80 >> (at % 8);
            let refused = refused_or_harmless(&memory, &segment(number), &flipped, 450);
            assert_eq!(refused, at < end, "segment {number} byte {at}");
        }
    }
}

#[test]
fn a_lost_sector_is_refused_where_the_log_knows_that_it_was_durable() {
    let memory = with_groups(60);
    let mut opened = open_at(&memory).unwrap();
    opened.journal.mark(0).unwrap();
    opened.journal.sync().unwrap();
    drop(opened);
    let content = memory.content(&segment(1)).unwrap();
    let end = used(&content);
    for start in (0..end).step_by(512) {
        let mut lost = content.clone();
        lost[start..start + 512].fill(0);
        let refused = refused_or_harmless(&memory, &segment(1), &lost, 180);
        // The last sector holds only the second mark, and the first one says the same.
        assert!(refused || end <= start + 512, "sector at {start}");
    }
}

#[test]
fn a_lost_end_is_refused_where_a_snapshot_knows_that_it_was_durable() {
    let memory = with_groups(20);
    let opened = open_at(&memory).unwrap();
    snapshot(&opened, 30, 60).unwrap();
    drop(opened);
    let mut content = memory.content(&segment(1)).unwrap();
    let end = used(&content);
    content[end - 300..].fill(0);
    memory.set_content(&segment(1), &content);
    let damage = damage(&memory);
    assert_eq!((damage.file, damage.lsn), (segment(1), Some(55)));
}

#[test]
fn surgery_on_segments_is_refused_and_named() {
    let original = with_groups(300);
    let last = (1..100).take_while(|number| original.content(&segment(*number)).is_some()).last().unwrap();
    assert!(3 < last);
    for missing in 1..=last {
        let memory = original.copy();
        memory.forget(&segment(missing));
        let found = damage(&memory);
        // If the first one is missing, what follows it reveals that.
        assert_eq!(found.file, segment(missing.max(if missing == 1 { 2 } else { 1 })), "{found}");
    }
    for (from, to) in [(1, 2), (2, 1), (2, 3), (last, last - 1), (last - 1, last)] {
        let memory = original.copy();
        memory.set_content(&segment(to), &original.content(&segment(from)).unwrap());
        assert_eq!(damage(&memory).file, segment(to), "{from} in place of {to}");
    }
    let memory = original.copy();
    memory.set_content(&segment(2), &original.content(&segment(3)).unwrap());
    memory.set_content(&segment(3), &original.content(&segment(2)).unwrap());
    assert_eq!(damage(&memory).file, segment(2));
    let memory = original.copy();
    memory.set_content(&segment(last + 1), &original.content(&segment(last)).unwrap());
    assert_eq!(damage(&memory).file, segment(last + 1));
    for length in [0, 100, 512, 5_000, 16_383, 16_385] {
        let memory = original.copy();
        let mut content = original.content(&segment(2)).unwrap();
        content.resize(length, 0);
        memory.set_content(&segment(2), &content);
        assert_eq!(damage(&memory).file, segment(2), "{length} bytes");
    }
}

#[test]
fn a_segment_behind_one_that_was_never_used_is_refused_and_the_unused_one_named() {
    let memory = with_groups(300);
    let last = (1..100).take_while(|number| memory.content(&segment(*number)).is_some()).last().unwrap();
    let unused = vec![0; memory.content(&segment(last)).unwrap().len()];
    memory.set_content(&segment(last + 1), &unused);
    memory.set_content(&segment(last + 2), &unused);
    let found = damage(&memory);
    assert_eq!(found.file, segment(last + 1), "{found}");
    assert!(found.reason.contains("header does not verify"), "{found}");
}

#[test]
fn the_segment_in_use_is_missed_when_it_is_deleted() {
    let original = with_groups(300);
    let last = (1..100).take_while(|number| original.content(&segment(*number)).is_some()).last().unwrap();
    let memory = original.copy();
    memory.forget(&segment(last));
    let found = damage(&memory);
    assert_eq!(found.file, segment(last));
    assert!(found.reason.contains("missing"), "{found}");
}

#[test]
fn segments_and_snapshots_of_another_directory_are_refused() {
    let ours = with_groups(100);
    let theirs = Memory::new();
    let other = Genesis { id: InstanceId([6; 16]), ..genesis() };
    let creation = DataDir::create(&theirs.shared(), Path::new(ROOT), &other, options()).unwrap();
    let (header, rows) = image(0, 5);
    let mut writer = creation.begin_snapshot(&header).unwrap();
    for part in &rows {
        writer.push(part).unwrap();
    }
    creation.finish(writer, [1; 32], [2; 32]).unwrap();
    let mut opened = open_at(&theirs).unwrap();
    for number in 0..100 {
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
    }
    drop(opened);
    let snapshot = Path::new(ROOT).join("snapshots/00000000000000000000.snap");
    for path in [segment(1), segment(2), snapshot] {
        let memory = ours.copy();
        memory.set_content(&path, &theirs.content(&path).unwrap());
        assert_eq!(damage(&memory).file, path);
    }
    // A foreign frame in our segment: same place, same LSN, everything but the identity.
    let (mut mixed, foreign) = (ours.content(&segment(1)).unwrap(), theirs.content(&segment(1)).unwrap());
    mixed[512..].copy_from_slice(&foreign[512..]);
    let memory = ours.copy();
    memory.set_content(&segment(1), &mixed);
    assert_eq!(damage(&memory).file, segment(1));
}

#[test]
fn an_old_snapshot_beside_a_newer_log_is_refused() {
    let memory = with_groups(200);
    let genesis_snapshot = Path::new(ROOT).join("snapshots/00000000000000000000.snap");
    let old = memory.content(&genesis_snapshot).unwrap();
    let mut opened = open_at(&memory).unwrap();
    snapshot(&opened, 500, 600).unwrap();
    let until = snapshot(&opened, 550, 600).unwrap();
    assert!(0 < opened.journal.purge_prefix(until, None).unwrap().archived);
    drop(opened);
    for lsn in [500, 550] {
        memory.forget(&Path::new(ROOT).join(format!("snapshots/{lsn:020}.snap")));
    }
    memory.set_content(&genesis_snapshot, &old);
    let found = damage(&memory);
    assert_eq!(found.lsn, Some(1));
    assert!(found.lost.contains("commands from LSN 1 to"), "{found}");
}

#[test]
fn every_flipped_byte_of_a_snapshot_is_found() {
    let memory = with_groups(3);
    let path = Path::new(ROOT).join("snapshots/00000000000000000000.snap");
    let content = memory.content(&path).unwrap();
    for at in 0..content.len() {
        let mut flipped = content.clone();
        flipped[at] ^= 1 << (at % 8);
        let changed = memory.copy();
        changed.set_content(&path, &flipped);
        let before = changed.all();
        assert!(is_damaged(&open_at(&changed)), "byte {at}");
        assert_eq!(changed.all(), before);
    }
    for length in (0..content.len()).step_by(7) {
        let changed = memory.copy();
        changed.set_content(&path, &content[..length]);
        assert!(is_damaged(&open_at(&changed)), "{length} bytes");
    }
    let mut longer = content.clone();
    longer.extend_from_slice(&[0; 16]);
    memory.set_content(&path, &longer);
    assert!(is_damaged(&open_at(&memory)));
}

/// Each chunk is verified again when it is read. The rows before the change come first, whether they are read
/// chunk by chunk or in batches.
#[test]
fn a_chunk_that_changes_after_the_snapshot_was_opened_is_found() {
    let memory = with_groups(10);
    let opened = open_at(&memory).unwrap();
    let (header, rows) = image(10, 100);
    let mut writer = opened.snapshots.begin(&header).unwrap();
    rows.iter().for_each(|part| writer.push(part).unwrap());
    writer.publish(30, [3; 32], [4; 32]).unwrap();
    let path = Path::new(ROOT).join("snapshots/00000000000000000010.snap");
    let chunks = inspect_snapshot(&*memory.shared(), &path).unwrap().chunks;
    assert_eq!(chunks.len(), 1 + rows.len());
    for (before, chunk) in chunks.iter().skip(1).enumerate() {
        for in_batches in [false, true] {
            let mut reader = opened.snapshots.open(10).unwrap();
            let at = usize::try_from(chunk.offset).unwrap() + 32;
            memory.rot(&path, at, 1);
            let mut read = Vec::new();
            let found = loop {
                let next = if in_batches {
                    reader.next_batch()
                } else {
                    reader.next_rows().map(|rows| rows.into_iter().collect())
                };
                match next {
                    Ok(rows) if rows.is_empty() => panic!("chunk {} was read", before + 1),
                    Ok(rows) => read.extend(rows),
                    Err(Error::Damaged(damage)) => break *damage,
                    Err(error) => panic!("{error:?}"),
                }
            };
            assert_eq!(
                (&read[..], found.offset),
                (&rows[..before], chunk.offset),
                "in batches: {in_batches}"
            );
            memory.rot(&path, at, 1);
        }
    }
    let mut reader = opened.snapshots.open(10).unwrap();
    let mut read = Vec::new();
    while let batch = reader.next_batch().unwrap()
        && !batch.is_empty()
    {
        read.extend(batch);
    }
    assert_eq!(read, rows);
}

/// What checksums cannot detect: a file as a buggy program would write it.
#[test]
fn a_snapshot_whose_parts_do_not_fit_is_refused_whatever_its_checksums_say() {
    let memory = with_groups(3);
    let path = Path::new(ROOT).join("snapshots/00000000000000000000.snap");
    let content = memory.content(&path).unwrap();
    let (header, manifest) = (64, content.len() - 256);
    // Offset, bytes, value, and the expected message. The one row of the first chunk is the header of the
    // image.
    let cases: [(usize, &[u8], &str); 6] = [
        (header + 8, &0_u32.to_le_bytes(), "impossible size"),
        (header + 8, &u32::MAX.to_le_bytes(), "impossible size"),
        (header + 12, &(64 * 1_024 + 1_u32).to_le_bytes(), "impossible size"),
        (header + 12, &2_u32.to_le_bytes(), "not those of its manifest"),
        (manifest + 60, &4_u32.to_le_bytes(), "not those of its manifest"),
        (header + 4, &99_u16.to_le_bytes(), "header does not verify"),
    ];
    for (at, value, reason) in cases {
        let mut changed = content.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        reseal_snapshot(&mut changed);
        let memory = memory.copy();
        memory.set_content(&path, &changed);
        let found = damage(&memory);
        assert!(found.reason.contains(reason), "{value:?} at {at}: {found}");
    }
    let mut sealed = content.clone();
    reseal_snapshot(&mut sealed);
    assert_eq!(sealed, content, "what was not changed is sealed already");
}

#[test]
fn a_snapshot_without_chunks_is_told_from_one_that_is_too_short() {
    let memory = with_groups(3);
    let path = Path::new(ROOT).join("snapshots/00000000000000000000.snap");
    let content = memory.content(&path).unwrap();
    let ends = [&content[..64], &content[content.len() - 256..]].concat();
    for (bytes, reason) in [(&ends[1..], "only 319 bytes long"), (&ends[..], "does not fit the file")] {
        let memory = memory.copy();
        memory.set_content(&path, bytes);
        let found = damage(&memory);
        assert!(found.reason.contains(reason), "{found}");
    }
}

#[test]
fn chunks_swapped_or_taken_from_another_snapshot_are_found() {
    // The chunks of the two snapshots have the same offsets: they hold the same numbers of rows and plans.
    let memory = with_groups(10);
    let opened = open_at(&memory).unwrap();
    snapshot(&opened, 10, 30).unwrap();
    snapshot(&opened, 20, 30).unwrap();
    drop(opened);
    let path = |lsn: u64| Path::new(ROOT).join(format!("snapshots/{lsn:020}.snap"));
    let (old, new) = (memory.content(&path(10)).unwrap(), memory.content(&path(20)).unwrap());
    assert_eq!(old.len(), new.len());
    for (start, end) in [(0, 64), (64, old.len() - 256), (old.len() - 256, old.len())] {
        let mut mixed = new.clone();
        mixed[start..end].copy_from_slice(&old[start..end]);
        let changed = memory.copy();
        changed.set_content(&path(20), &mixed);
        let opened = open_at(&changed).unwrap();
        assert_eq!((opened.report.snapshot_lsn, opened.report.damaged_snapshots.len()), (10, 1));
    }
}

#[test]
fn every_flipped_byte_of_the_instance_file_is_refused() {
    let memory = with_groups(1);
    let path = Path::new(ROOT).join("instance");
    let content = memory.content(&path).unwrap();
    for at in 0..content.len() {
        let mut flipped = content.clone();
        flipped[at] ^= 1 << (at % 8);
        memory.set_content(&path, &flipped);
        assert!(is_damaged(&open_at(&memory)), "byte {at}");
    }
}

#[test]
fn noise_in_a_prepared_segment_is_swept_away() {
    let memory = with_groups(5);
    for at in [0, 511, 512, 16_000] {
        let mut content = vec![0; 16 * 1_024];
        content[at] = 1;
        let memory = memory.copy();
        memory.set_content(&segment(2), &content);
        let mut opened = open_at(&memory).unwrap();
        for number in 5..150 {
            append(&mut opened.journal, number * 3 + 1, 3).unwrap();
        }
        drop(opened);
        assert_tail(&mut open_at(&memory).unwrap(), 1, 450);
    }
}

#[test]
fn a_cut_trailer_with_noise_behind_it_is_mended_for_good() {
    let memory = with_groups(5);
    let mut content = memory.content(&segment(1)).unwrap();
    let end = used(&content);
    content[end - 3..].fill(0);
    content[end + 3_000] = 1;
    memory.set_content(&segment(1), &content);
    let mut opened = open_at(&memory).unwrap();
    assert!(opened.report.torn.is_some());
    assert_tail(&mut opened, 1, 15);
    append(&mut opened.journal, 16, 3).unwrap();
    drop(opened);
    assert_tail(&mut open_at(&memory).unwrap(), 1, 18);
}

#[test]
fn damage_in_the_archive_is_reported_and_not_in_the_way() {
    let memory = with_groups(200);
    let mut opened = open_at(&memory).unwrap();
    snapshot(&opened, 500, 600).unwrap();
    let until = snapshot(&opened, 550, 600).unwrap();
    let archived = opened.journal.purge_prefix(until, None).unwrap().archived;
    assert!(1 < archived);
    drop(opened);
    let path = Path::new(ROOT).join(format!("archive/{:020}.log", 1));
    let good = memory.content(&path).unwrap();
    let mut content = good.clone();
    content[20] ^= 1;
    memory.set_content(&path, &content);
    let opened = open_at(&memory).unwrap();
    assert_eq!(opened.report.history_damage.as_ref().map(|damage| &damage.file), Some(&path));
    assert!(matches!(opened.journal.reader().read_from(1), Err(Error::BelowRetained { .. })));
    drop(opened);
    let mut content = good;
    content[700] ^= 1;
    memory.set_content(&path, &content);
    let opened = open_at(&memory).unwrap();
    assert_eq!(opened.report.history_damage, None);
    let mut reader = opened.journal.reader().read_from(1).unwrap();
    assert!(reader.any(|group| matches!(group, Err(Error::Damaged(_)))));
    assert!(reader.next().is_none());
}

/// The newest snapshot covers what is gone, so it is served from; every opening reports once that falling
/// back is impossible, for as long as it is.
#[test]
fn missing_segments_that_the_newest_snapshot_covers_are_reported_and_not_in_the_way() {
    let memory = with_groups(200);
    let opened = open_at(&memory).unwrap();
    snapshot(&opened, 500, 600).unwrap();
    assert_eq!(opened.snapshots.list().unwrap(), [0, 500]);
    drop(opened);
    memory.forget(&segment(1));
    let opened = open_at(&memory).unwrap();
    let found = opened.report.history_damage.clone().unwrap();
    assert_eq!((found.file, found.lsn), (segment(2), Some(1)));
    assert_eq!((opened.report.snapshot_lsn, opened.report.log_last_lsn), (500, 600));
    assert!(matches!(opened.journal.reader().read_from(1), Err(Error::BelowRetained { .. })));
    // From the next snapshot on, only past states need what is gone.
    snapshot(&opened, 550, 600).unwrap();
    assert_eq!(opened.snapshots.list().unwrap(), [500, 550]);
    drop(opened);
    let base = Path::new(ROOT).join("archive/00000000000000000000.snap");
    let found = open_at(&memory).unwrap().report.history_damage.unwrap();
    assert_eq!((&found.file, found.lsn), (&base, Some(1)));
    memory.forget(&base);
    assert_eq!(open_at(&memory).unwrap().report.history_damage, None);
}
