use super::{
    LogOptions,
    frame::{self, End, Form, Header, Kind},
    position::Position,
    scan::{Tail, scan},
};
use crate::core::types::Timestamp;

const INSTANCE: [u8; 16] = [3; 16];

fn header(form: Form, first_lsn: u64, count: u32, durable_lsn: u64, previous_crc: u32) -> Header {
    Header {
        form,
        kind: Kind::Group,
        length: 0,
        count,
        first_lsn,
        durable_lsn,
        outcome_hash: 5,
        term: 0,
        time: Timestamp(6),
        previous_crc,
        salt: 0,
        chain: if form.is_chained() { 11 } else { 0 },
    }
}

fn start() -> Position {
    Position {
        offset: 512,
        next_lsn: 1,
        previous_crc: 9,
        durable_lsn: 0,
        time: Timestamp(0),
        sealed: false,
        chain: Some(11),
    }
}

/// Returns a segment of frames with these bodies; each frame says that all before it was durable if `synced`
/// says so.
fn segment(bodies: &[Vec<u8>], synced: &[bool]) -> (Vec<u8>, Vec<usize>) {
    let form = Form::new(3, &INSTANCE, 1);
    let mut bytes = vec![0; 64 * 1_024];
    let (mut offset, mut crc, mut durable) = (512, 9, 0);
    let mut offsets = Vec::new();
    for (position, (body, synced)) in bodies.iter().zip(synced).enumerate() {
        let lsn = position as u64 + 1;
        durable = if *synced { lsn - 1 } else { durable };
        let mut out = vec![0; frame::HEADER_BYTES];
        out.extend_from_slice(body);
        crc = frame::finish(header(form, lsn, 1, durable, crc), offset as u64, &mut out);
        bytes[offset..offset + out.len()].copy_from_slice(&out);
        offsets.push(offset);
        offset += out.len();
    }
    offsets.push(offset);
    (bytes, offsets)
}

#[test]
fn frames_come_back_whatever_their_length_and_version() {
    for (version, length) in [2, 3]
        .into_iter()
        .flat_map(|version| (1..200).chain([511, 512, 513, 5_000]).map(move |length| (version, length)))
    {
        let form = Form::new(version, &INSTANCE, 7);
        let body: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let mut out = vec![0; form.header_bytes()];
        out.extend_from_slice(&body);
        let crc = frame::finish(header(form, 4, 1, 3, 8), 512, &mut out);
        assert!(out.len().is_multiple_of(frame::ALIGNMENT));
        let parsed = frame::parse_header(&out, form).unwrap();
        assert_eq!((parsed.frame_bytes(), parsed.chain()), (out.len(), (version == 3).then_some(11)));
        assert_eq!(frame::check_end(form, &out), End::Whole(crc));
        let mut plain = Vec::new();
        frame::plain_body(&parsed, &out, &mut plain);
        assert_eq!(plain, body);
        for other in [
            Form::new(version, &INSTANCE, 8),
            Form::new(version, &[4; 16], 7),
            Form::new(5 - version, &INSTANCE, 7),
        ] {
            assert_eq!(frame::parse_header(&out, other), None);
        }
    }
}

#[test]
fn no_sector_of_a_frame_is_zero_even_where_the_body_is_made_for_it() {
    let form = Form::new(3, &INSTANCE, 1);
    for offset in [512, 520, 1_016] {
        // The body that the first salt turns into zeros, derived from what it makes of zeros.
        let mut zeros = vec![0; frame::HEADER_BYTES + 4_096];
        frame::finish(header(form, 1, 1, 0, 9), offset, &mut zeros);
        let body = &zeros[frame::HEADER_BYTES..frame::HEADER_BYTES + 4_096];
        let mut out = vec![0; frame::HEADER_BYTES];
        out.extend_from_slice(body);
        frame::finish(header(form, 1, 1, 0, 9), offset, &mut out);
        let parsed = frame::parse_header(&out, form).unwrap();
        assert_ne!(parsed.salt, 0);
        assert!(!frame::has_zero_sector(&out, offset));
        let mut plain = Vec::new();
        frame::plain_body(&parsed, &out, &mut plain);
        assert_eq!(plain, body);
    }
}

#[test]
fn zero_sectors_are_seen_at_their_places() {
    // offset, bytes before, zeros, bytes after, whether a sector of the file is all zero
    let table = [
        (0, 0, 512, 0, true),
        (0, 1, 511, 0, false),
        (0, 1, 512, 511, false),
        (0, 100, 924, 1, true),
        (504, 0, 8, 100, true),
        (504, 1, 7, 100, false),
        (504, 1, 8, 511, false),
        (504, 1, 519, 0, true),
        (504, 0, 0, 0, false),
    ];
    for row in table {
        let (offset, before, zeros, after, expected) = row;
        let bytes = [vec![1; before], vec![0; zeros], vec![1; after]].concat();
        assert_eq!(frame::has_zero_sector(&bytes, offset), expected, "{row:?}");
    }
}

/// The four cases of the classification, as a table.
#[test]
fn the_first_frame_that_does_not_verify_is_classified() {
    let bodies = vec![vec![1; 700], vec![2; 700], vec![3; 700]];
    let all = [true, true, true];
    let in_flight = [true, false, false];
    let form = Form::new(3, &INSTANCE, 1);
    let run = |synced: &[bool], change: &dyn Fn(&mut [u8], &[usize])| {
        let (mut bytes, offsets) = segment(&bodies, synced);
        change(&mut bytes, &offsets);
        let scan = scan(&bytes, form, start());
        (scan.at.next_lsn - 1, scan.tail)
    };
    // (a) nothing after the last one.
    assert_eq!(run(&all, &|_, _| {}), (3, Tail::Clean));
    // (b) the second is bad, and the third records it as durable.
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[1] + 100] ^= 1);
    assert!(last == 1 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[1]..offsets[2]].fill(0));
    assert!(last == 1 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    // (c) the last one is bad and complete.
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[2] + 100] ^= 1);
    assert!(last == 2 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    // (c) as well: the second of three in flight, all written to their end.
    let (last, tail) = run(&in_flight, &|bytes, offsets| bytes[offsets[1] + 100] ^= 1);
    assert!(last == 1 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    // (d) a sector of the last one is missing; of the second of three in flight; the end is missing.
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[2].next_multiple_of(512)..][..512].fill(0));
    assert!(last == 2 && matches!(tail, Tail::Torn { .. }), "{tail:?}");
    let (last, tail) =
        run(&in_flight, &|bytes, offsets| bytes[offsets[1].next_multiple_of(512)..][..512].fill(0));
    assert!(last == 1 && matches!(tail, Tail::Torn { .. }), "{tail:?}");
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[3] - 20..].fill(0));
    assert!(last == 2 && matches!(tail, Tail::Torn { .. }), "{tail:?}");
    // The end of a trailer is missing, which does not matter; or is altered, which no torn write does.
    assert_eq!(run(&all, &|bytes, offsets| bytes[offsets[3] - 5..].fill(0)), (3, Tail::ShortTrailer));
    let (last, tail) = run(&all, &|bytes, offsets| bytes[offsets[3] - 5] ^= 1);
    assert!(last == 2 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
    // ... and of a frame that is followed by others.
    let (last, tail) = run(&in_flight, &|bytes, offsets| bytes[offsets[2] - 5..offsets[2]].fill(0));
    assert!(last == 2 && matches!(tail, Tail::Damaged { .. }), "{tail:?}");
}

#[test]
fn every_subset_of_lost_sectors_of_a_group_in_flight_is_a_tear_or_nothing() {
    let bodies = vec![vec![1; 700], vec![2; 3_000]];
    let (bytes, offsets) = segment(&bodies, &[true, true]);
    let form = Form::new(3, &INSTANCE, 1);
    let (from, end) = (offsets[1], offsets[2]);
    let sectors: Vec<(usize, usize)> = (from / 512..=(end - 1) / 512)
        .map(|sector| ((sector * 512).max(from), ((sector + 1) * 512).min(end)))
        .collect();
    for lost in 0..1_u32 << sectors.len() {
        let mut bytes = bytes.clone();
        for (position, (start, end)) in sectors.iter().enumerate() {
            if lost >> position & 1 == 1 {
                bytes[*start..*end].fill(0);
            }
        }
        let scan = scan(&bytes, form, start());
        match scan.tail {
            // The last sector may hold only bytes of the trailer.
            Tail::Clean | Tail::ShortTrailer => {
                assert!(scan.at.next_lsn == 3 || lost + 1 == 1 << sectors.len(), "{lost:b}");
            }
            Tail::Torn { .. } => assert_eq!(scan.at.next_lsn, 2, "{lost:b}"),
            Tail::Damaged { reason, .. } => panic!("{lost:b}: {reason}"),
        }
    }
}

#[test]
fn what_is_not_known_to_be_on_disk_is_known() {
    let bodies = vec![vec![1; 50]; 4];
    let form = Form::new(3, &INSTANCE, 1);
    // which frames followed a sync, and from which one on nothing proves that it is on disk
    for (synced, unrecorded) in [
        ([true; 4], 3),
        ([true, false, false, false], 0),
        ([true, true, false, false], 1),
        ([true, true, true, false], 2),
    ] {
        let (bytes, offsets) = segment(&bodies, &synced);
        let scan = scan(&bytes, form, start());
        assert_eq!(scan.first_unrecorded.offset, offsets[unrecorded] as u64, "{synced:?}");
        assert_eq!(scan.groups, 4);
    }
}

#[test]
fn segments_are_as_large_as_asked_for_within_bounds() {
    // requested, created
    let table = [(0, 16_384), (16_385, 20_480), (67_108_864, 67_108_864), (u64::MAX, 268_435_456)];
    for (asked, made) in table {
        assert_eq!(
            LogOptions { segment_bytes: asked, ..LogOptions::default() }.segment_bytes_checked(),
            made,
            "{asked}"
        );
    }
}
