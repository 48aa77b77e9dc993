//! Finds a member on a server, as people name it.

use serde_json::Value;

use super::{
    exit::{Exit, Failure},
    names::{server_paths, unknown_member},
    remote::Remote,
};

/// Finds the member that a text names, as described by a server, and the LSN of the description.
pub(super) fn find_on_server(remote: &Remote, text: &str) -> Result<(Value, Option<u64>), Failure> {
    for path in server_paths(text) {
        if let Some(answer) = remote.find(&format!("/v1/members/{path}"))? {
            return Ok((answer.body, answer.lsn));
        }
    }
    Err(unknown_member(text))
}

/// Returns the `user_id` from a server's description of a member.
pub(super) fn user_id(member: &Value) -> Result<&str, Failure> {
    member["user_id"].as_str().ok_or_else(|| {
        Failure::new(Exit::Refused, "the server's answer names no member: is it an upline server?")
    })
}
