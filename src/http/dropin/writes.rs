//! Operations that write: body to command, outcome to answer.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    body::{self, RegisterBody, TriggerBody},
    errors::{not_found, not_submitted, refused, rejected},
    lists::{print_bonus, print_member},
    render::{MEMBER_CLOSE, print_id},
};
use crate::{
    engine::{
        Command, Engine, MemberId, MemberIx, Origin, Outcome, PlacementRequest, Register, Rejection,
        RequestKey, Role, Sent, SponsorRef, TriggerBonus, Verdict,
    },
    http::{
        auth::Principal,
        content::is_encoded,
        context::Shared,
        limits::IDEMPOTENCY_KEY_BYTES_MAX,
        reply::{self, Refused, Reply},
        route_table::Operation,
    },
};

/// Members that `add_test_data` adds below its root, as in the original.
const TEST_MEMBERS: usize = 250;

/// `POST /user/register` and `POST /user/root_user`
pub async fn register(
    shared: &Shared,
    operation: Operation,
    parts: &Parts,
    content: &[u8],
) -> Result<Reply, Refused> {
    check_plain(&parts.headers)?;
    let body = RegisterBody::read(content_type(&parts.headers), content, shared.options.none_parent_is_null)
        .map_err(refused)?;
    let engine = shared.engine()?;
    // A root's parent is validated, then ignored.
    let parent = body.parent_id.filter(|_| operation == Operation::Register);
    let canonical = [&body.user_id[..], parent.as_ref().map_or(&[][..], |parent| parent)];
    let key = RequestKeys::read(parts, operation, &canonical)?;
    let command = register_command(body.user_id, parent);
    let sent = sends(parts, engine, &command, key)?;
    let outcome = submit(engine, operation, command, sent).await?;
    let Outcome::Registered { member } = outcome else { return Err(reply::internal_error().into()) };
    Ok(member_reply(engine, member))
}

fn register_command(user_id: [u8; 16], parent: Option<[u8; 16]>) -> Command {
    Command::Register(Register {
        member: MemberId(user_id),
        sponsor: parent.map_or(SponsorRef::None, |parent| SponsorRef::Member(MemberId(parent))),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

fn member_reply(engine: &Engine, member: MemberIx) -> Reply {
    let mut body = String::with_capacity(256);
    engine.read(|state, _| {
        print_member(&|kind, index| engine.row_id(kind, index), state, &state.member(member), &mut body);
    });
    body.push_str(MEMBER_CLOSE);
    reply::json(StatusCode::OK, body)
}

/// `POST /bonus/`
pub async fn trigger(shared: &Shared, parts: &Parts, content: &[u8]) -> Result<Reply, Refused> {
    check_plain(&parts.headers)?;
    let body = TriggerBody::read(content_type(&parts.headers), content).map_err(refused)?;
    let engine = shared.engine()?;
    let canonical = [&body.source_user_id[..], body.trigger_type.as_bytes()];
    let key = RequestKeys::read(parts, Operation::Trigger, &canonical)?;
    let command = trigger_command(body.source_user_id, body.trigger_type);
    let sent = sends(parts, engine, &command, key)?;
    submit(engine, Operation::Trigger, command, sent).await?;
    Ok(reply::json(StatusCode::OK, "{\"detail\":\"Bonuses distributed\"}"))
}

fn trigger_command(source: [u8; 16], trigger: &str) -> Command {
    // Repeated triggers pay again, as in the original.
    Command::TriggerBonus(TriggerBonus {
        source: MemberId(source),
        trigger: trigger.into(),
        amount: None,
        once: false,
        reference: None,
    })
}

/// `PATCH /bonus/{bonus_id}/mark-paid`
pub async fn mark_paid(
    shared: &Shared,
    principal: &Principal,
    parts: &Parts,
    parameter: &str,
) -> Result<Reply, Refused> {
    let id = body::path_uuid("bonus_id", parameter).map_err(refused)?;
    let engine = shared.engine()?;
    let entry = engine.entry_of(id).ok_or_else(|| rejected(Operation::MarkPaid, Rejection::EntryUnknown))?;
    let key = RequestKeys::read(parts, Operation::MarkPaid, &[&id])?;
    let command = Command::PayEntry { entry };
    let sent = sends(parts, engine, &command, key)?;
    let outcome = submit(engine, Operation::MarkPaid, command, sent).await?;
    let Outcome::EntryPaid { entry, .. } = outcome else { return Err(reply::internal_error().into()) };
    let mut body = String::with_capacity(320);
    engine.read(|state, directory| {
        let seen = principal.sight(state, directory).of_entry(state, &state.entry(entry));
        print_bonus(&|kind, index| engine.row_id(kind, index), state, &seen, "Z", &mut body);
    });
    Ok(reply::json(StatusCode::OK, body))
}

/// `GET /bonus/mark-paid/all`
pub async fn mark_all_paid(shared: &Shared, parts: &Parts) -> Result<Reply, Refused> {
    let engine = shared.engine()?;
    let key = RequestKeys::read(parts, Operation::MarkAllPaid, &[])?;
    // A client that follows links must not be able to fill the log with no-op commands.
    if key.is_none() && engine.read(|state, _| state.pending()) == 0 {
        return Ok(all_paid(0));
    }
    let sent = sends(parts, engine, &Command::PayAll, key)?;
    let outcome = submit(engine, Operation::MarkAllPaid, Command::PayAll, sent).await?;
    let Outcome::AllPaid { entries } = outcome else { return Err(reply::internal_error().into()) };
    Ok(all_paid(entries))
}

fn all_paid(entries: u64) -> Reply {
    let text = if entries == 0 {
        "{\"detail\":\"No unpaid bonuses found\"}"
    } else {
        "{\"detail\":\"All bonuses have been paid.\"}"
    };
    reply::json(StatusCode::OK, text)
}

/// `GET /user/add_test_data`: a root, members below it, and a referral of each. Never deletes anything: it
/// requires an empty network.
pub async fn add_test_data(shared: &Shared, parts: &Parts) -> Result<Reply, Refused> {
    if !shared.options.test_data {
        return Err(not_found().into());
    }
    let engine = shared.engine()?;
    // Two concurrent calls would both find the network empty.
    let _seeding = shared.seeding.lock().await;
    if !engine.read(|state, _| state.is_empty()) {
        return Err(reply::detail(StatusCode::CONFLICT, "The network is not empty").into());
    }
    let root = ::uuid::Uuid::new_v4().into_bytes();
    let sent = sender(parts)?.sends(None);
    submit(engine, Operation::AddTestData, register_command(root, None), sent.clone()).await?;
    let members: Vec<[u8; 16]> = (0..TEST_MEMBERS).map(|_| ::uuid::Uuid::new_v4().into_bytes()).collect();
    submit_all(engine, &sent, members.iter().map(|member| register_command(*member, Some(root)))).await?;
    submit_all(engine, &sent, members.iter().map(|member| trigger_command(*member, "referral"))).await?;
    let mut body = String::from("{\"message\":\"Test data added successfully!\",\"root_user_id\":");
    print_id(&root, &mut body);
    body.push('}');
    Ok(reply::json(StatusCode::OK, body))
}

/// Submits commands concurrently, so that they share syncs. The first failure is the answer.
async fn submit_all(
    engine: &Engine,
    sent: &Sent,
    commands: impl Iterator<Item = Command>,
) -> Result<(), Refused> {
    let mut running = tokio::task::JoinSet::new();
    for command in commands {
        let (engine, sent) = (engine.clone(), sent.clone());
        running
            .spawn(async move { submit(&engine, Operation::AddTestData, command, sent).await.map(|_| ()) });
    }
    while let Some(submitted) = running.join_next().await {
        submitted.unwrap_or_else(|_| Err(reply::internal_error().into()))?;
    }
    Ok(())
}

/// Submits a command. `Err` is the answer when a rule rejected it or there is no outcome.
async fn submit(
    engine: &Engine,
    operation: Operation,
    command: Command,
    sent: Sent,
) -> Result<Outcome, Refused> {
    let answer = engine.submit(command, sent).await.map_err(not_submitted)?;
    match answer.applied.outcome {
        Outcome::Rejected(rejection) => Err(rejected(operation, rejection)),
        outcome => Ok(outcome),
    }
}

/// What accompanies a command of a request: its sender and its key.
fn sends(
    parts: &Parts,
    engine: &Engine,
    command: &Command,
    keys: Option<RequestKeys>,
) -> Result<Sent, Refused> {
    Ok(sender(parts)?.sends(keys.map(|keys| keys.choose(engine, command))))
}

/// The sender of the request, put there by the gate.
fn sender(parts: &Parts) -> Result<&Principal, Refused> {
    parts.extensions.get::<Principal>().ok_or_else(|| reply::internal_error().into())
}

fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes)
}

/// # Errors
/// 415 for a compressed body.
fn check_plain(headers: &HeaderMap) -> Result<(), Refused> {
    if !is_encoded(headers) {
        return Ok(());
    }
    let reply = reply::detail(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "Content-Encoding is not supported: send the body as it is",
    );
    Err(reply::with_header(reply, header::ACCEPT_ENCODING, HeaderValue::from_static("identity")).into())
}

/// The client's idempotency key, hashed with its operation and its sender, and the hash of the content sent
/// with it.
///
/// Both hashes are in the log: neither the names of `scope` nor the order of `content` may ever change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct RequestKeys {
    key: RequestKey,
    /// The same without the sender: how keys were stored before they were separated by principal. `None`
    /// where no credentials are asked for, since those keys are still stored that way.
    shared: Option<RequestKey>,
}

impl RequestKeys {
    /// Returns the key of a request, if it has one.
    ///
    /// # Errors
    /// 422 for a key that is too long or repeated.
    fn read(parts: &Parts, operation: Operation, content: &[&[u8]]) -> Result<Option<Self>, Refused> {
        let principal = sender(parts)?;
        let principal = (!principal.is_anonymous()).then_some(&*principal.client);
        Ok(client_key(&parts.headers)?.map(|key| Self::new(key, principal, operation, content)))
    }

    fn new(key: &[u8], principal: Option<&str>, operation: Operation, content: &[&[u8]]) -> Self {
        // All parts but the last have fixed lengths.
        let fingerprint = xxh3_64(&content.concat());
        let hashed =
            |parts: &[&[u8]]| RequestKey { key: xxh3_128(&parts.join(&0)).to_le_bytes(), fingerprint };
        let scope = scope(operation).as_bytes();
        let shared = hashed(&[scope, key]);
        match principal {
            None => Self { key: shared, shared: None },
            Some(principal) => {
                Self { key: hashed(&[scope, principal.as_bytes(), key]), shared: Some(shared) }
            }
        }
    }

    /// The key to submit a command with: that of the principal, or the one under which the identical request
    /// was stored before, so that a retry is still recognized after an upgrade. Such keys expire like all
    /// others.
    fn choose(self, engine: &Engine, command: &Command) -> RequestKey {
        let was_kept = |key: &RequestKey| {
            engine.read(|state, directory| {
                matches!(state.check(directory, Some(*key), command), Verdict::Repeat(_))
            })
        };
        self.shared.filter(was_kept).unwrap_or(self.key)
    }
}

/// # Errors
/// 422.
fn client_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Refused> {
    let invalid = |detail: &str| Err(reply::detail(StatusCode::UNPROCESSABLE_ENTITY, detail).into());
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next().map(HeaderValue::as_bytes) else { return Ok(None) };
    if keys.next().is_some() {
        // Whichever was used, a retry with only the other one would be executed again.
        return invalid("Idempotency-Key is there twice");
    }
    if !(1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
        return invalid(&format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes"));
    }
    Ok(Some(key))
}

/// Separates the keys of different operations; the README's aliases are the same operation.
fn scope(operation: Operation) -> &'static str {
    match operation {
        Operation::Register => "POST /user/register",
        Operation::RootUser => "POST /user/root_user",
        Operation::Trigger => "POST /bonus/",
        Operation::MarkPaid => "PATCH /bonus/{bonus_id}/mark-paid",
        Operation::MarkAllPaid => "GET /bonus/mark-paid/all",
        Operation::AddTestData
        | Operation::Welcome
        | Operation::Health
        | Operation::Status
        | Operation::Downline
        | Operation::DownlineCount
        | Operation::BonusesOf
        | Operation::Bonuses
        | Operation::EvaluateRank
        | Operation::Weekly => unreachable!("only writes that take keys ask for their scope"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(key: &[u8], principal: Option<&str>, operation: Operation, content: &[&[u8]]) -> RequestKeys {
        RequestKeys::new(key, principal, operation, content)
    }

    #[test]
    fn keys_are_told_apart_by_operation_principal_and_content() {
        let first = key_of(b"a", None, Operation::Trigger, &[b"x"]);
        assert_eq!(key_of(b"a", None, Operation::Trigger, &[b"x"]), first);
        let other_content = key_of(b"a", None, Operation::Trigger, &[b"y"]).key;
        assert_eq!(
            (other_content.key, other_content.fingerprint != first.key.fingerprint),
            (first.key.key, true)
        );
        assert_ne!(key_of(b"a", None, Operation::Register, &[b"x"]).key.key, first.key.key);
        assert_ne!(key_of(b"b", None, Operation::Trigger, &[b"x"]).key.key, first.key.key);
        let (anna, bert) = (
            key_of(b"a", Some("anna"), Operation::Trigger, &[b"x"]),
            key_of(b"a", Some("bert"), Operation::Trigger, &[b"x"]),
        );
        assert_ne!(anna.key.key, bert.key.key);
        assert_ne!(anna.key.key, first.key.key);
        assert_eq!((anna.shared, bert.shared), (Some(first.key), Some(first.key)));
    }

    #[test]
    fn keys_on_disk_stay_what_they_are() {
        let content: [&[u8]; 2] = [&[7; 16], b"referral"];
        let key = key_of(b"order-1", None, Operation::Trigger, &content).key;
        assert_eq!(u128::from_le_bytes(key.key), xxh3_128(b"POST /bonus/\0order-1"));
        assert_eq!(
            key.fingerprint,
            xxh3_64(b"\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07referral")
        );
        let key = key_of(b"order-1", Some("gateway"), Operation::Trigger, &content).key;
        assert_eq!(u128::from_le_bytes(key.key), xxh3_128(b"POST /bonus/\0gateway\0order-1"));
    }

    #[test]
    fn keys_have_a_length_and_are_there_once() {
        let read = |keys: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for key in keys {
                headers.append("idempotency-key", HeaderValue::from_bytes(key).unwrap());
            }
            client_key(&headers)
                .map(|key| key.map(<[u8]>::len))
                .map_err(|refused| Reply::from(refused).status().as_u16())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b""]), Err(422));
        assert_eq!(read(&[&[b'k'; IDEMPOTENCY_KEY_BYTES_MAX]]), Ok(Some(IDEMPOTENCY_KEY_BYTES_MAX)));
        assert_eq!(read(&[&[b'k'; IDEMPOTENCY_KEY_BYTES_MAX + 1]]), Err(422));
        assert_eq!(read(&[b"a", b"a"]), Err(422));
    }
}
