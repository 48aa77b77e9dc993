//! Properties of any bytes taken for a frame, and resealing of checksums, so that a fuzzer gets past them.

use super::{
    chain,
    frame::{self, End, FOOTER_BYTES, Form, Header, Kind, MAGIC, TRAILER},
    segment,
};
use crate::{
    core::types::Timestamp,
    durability::{
        FORMAT_VERSION,
        codec::{decode_group, encode_group},
    },
};

/// The form of the frames that are made here.
fn form(version: u32) -> Form {
    Form::new(version, &[5; 16], 1)
}

/// Tests bytes as a frame, and as the body of one: `{commands u8, first LSN u8, records}`. True if either was
/// valid.
///
/// # Panics
/// If what decodes does not encode to the same bytes, or if a frame with a changed byte passes for a whole
/// one.
pub(crate) fn frame(bytes: &[u8]) -> bool {
    let whole = [2, FORMAT_VERSION].map(|version| whole_frame(bytes, form(version))).contains(&true);
    let body = match bytes {
        [count, first_lsn, body @ ..] => records(u32::from(*count), u64::from(*first_lsn).max(1), body),
        _ => false,
    };
    whole || body
}

fn whole_frame(bytes: &[u8], form: Form) -> bool {
    let Some(header) = frame::parse_header(bytes, form) else { return false };
    let Some(whole) = bytes.get(..header.frame_bytes()) else { return false };
    if !matches!(frame::check_end(form, whole), End::Whole(_)) {
        return false;
    }
    let mut body = Vec::new();
    frame::plain_body(&header, whole, &mut body);
    let _ = records(header.count, header.first_lsn, &body);
    // A salt other than the least that works verifies too, as does other padding; we write neither.
    let end = form.header_bytes() + body.len();
    if header.salt == 0 && whole[end..whole.len() - FOOTER_BYTES].iter().all(|byte| *byte == frame::PADDING) {
        let mut again = vec![0; form.header_bytes()];
        again.extend_from_slice(&body);
        frame::finish(header, segment::HEADER_BYTES as u64, &mut again);
        let salted = frame::parse_header(&again, form).is_some_and(|again| again.salt != 0);
        assert!(salted || again == whole, "a frame that verifies is written again to the same bytes");
    }
    true
}

fn records(count: u32, first_lsn: u64, body: &[u8]) -> bool {
    let mut commands = Vec::new();
    if let Err(error) = decode_group(body, first_lsn, count, &mut commands) {
        assert!(error.offset <= body.len(), "{error} lies outside of {} bytes", body.len());
        return false;
    }
    assert_eq!(commands.len(), count as usize, "all commands or an error");
    let mut again = Vec::new();
    encode_group(&commands, &mut again).expect("what was read from records has a form");
    assert_eq!(again, body, "a group has one form");
    if count == 0 || u32::try_from(body.len()).is_err() {
        return false;
    }
    framed(form(2), count, first_lsn, body);
    framed(form(FORMAT_VERSION), count, first_lsn, body);
    true
}

/// Puts a body into a frame and takes it out again, and checks the frame with one byte changed, chosen by the
/// body.
fn framed(form: Form, count: u32, first_lsn: u64, body: &[u8]) {
    let chain = chain::after(7, body, count.into()).expect("they are so many records");
    let header = Header {
        form,
        kind: Kind::Group,
        length: 0,
        count,
        first_lsn,
        durable_lsn: first_lsn - 1,
        outcome_hash: 7,
        term: 0,
        time: Timestamp(0),
        previous_crc: 9,
        salt: 0,
        chain: if form.is_chained() { chain } else { 0 },
    };
    let mut whole = vec![0; form.header_bytes()];
    whole.extend_from_slice(body);
    let crc = frame::finish(header, segment::HEADER_BYTES as u64, &mut whole);
    let read = frame::parse_header(&whole, form).expect("a frame that was just written has a good header");
    assert_eq!((read.count, read.first_lsn, read.frame_bytes()), (count, first_lsn, whole.len()));
    assert_eq!(frame::check_end(form, &whole), End::Whole(crc));
    let mut plain = Vec::new();
    frame::plain_body(&read, &whole, &mut plain);
    assert_eq!(plain, body, "whitening is taken back");
    let chosen = crc32c::crc32c(body);
    let at = chosen as usize % whole.len();
    whole[at] ^= u8::try_from(chosen >> 24).expect("eight bits").max(1);
    let passes = frame::parse_header(&whole, form).is_some()
        && matches!(frame::check_end(form, &whole), End::Whole(_));
    assert!(!passes, "byte {at} of {} was changed, and the frame passes", whole.len());
}

/// Recomputes the checksums and chains of a segment, and of every frame that is reached by the lengths of
/// those before it.
pub(crate) fn reseal_segment(content: &mut [u8]) {
    let Some((sector, _)) = content.split_first_chunk_mut::<{ segment::HEADER_BYTES }>() else { return };
    let end = segment::HEADER_BYTES - 4;
    let mut previous = crc32c::crc32c(&sector[..end]);
    sector[end..].copy_from_slice(&previous.to_le_bytes());
    let u64_at =
        |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let u32_at =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let instance: &[u8; 16] = sector[16..32].try_into().expect("sixteen bytes");
    let form = Form::new(u32_at(sector, 8), instance, u64_at(sector, 32));
    let (mut chain, begin) = (u64_at(sector, 88), form.header_bytes());
    let mut at = segment::HEADER_BYTES;
    while let Some(header) = content.get(at..at + begin).filter(|header| header.starts_with(&MAGIC)) {
        let total = form.frame_bytes(u32_at(header, 8) as usize);
        let (length, count, salt) = (u32_at(header, 8) as usize, u32_at(header, 12), u32_at(header, 60));
        let Some(whole) = content.get_mut(at..at.saturating_add(total)) else { return };
        whole[56..60].copy_from_slice(&previous.to_le_bytes());
        if form.is_chained() {
            let body = frame::unwhitened(salt, &whole[begin..begin + length]);
            chain = chain::after(chain, &body, count.into()).unwrap_or(chain);
            whole[64..72].copy_from_slice(&chain.to_le_bytes());
        }
        let crc = crc32c::crc32c_append(form.seed(), &whole[..begin - 4]);
        whole[begin - 4..begin].copy_from_slice(&crc.to_le_bytes());
        let body_end = total - FOOTER_BYTES;
        previous = crc32c::crc32c_append(crc, &whole[begin..body_end]);
        whole[body_end..body_end + 4].copy_from_slice(&previous.to_le_bytes());
        whole[body_end + 4..].copy_from_slice(&TRAILER);
        at += total;
    }
}
