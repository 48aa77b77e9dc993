//! Lists of members: `children`.

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, IntoResponses, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Caller,
    extract::{Path, Query},
    page::{self, Cursors, Listing, Page, Reader},
    problem::{Code, Problem, described},
    types::{Status, Time, TreeName, user_id},
};
use crate::{
    engine::{MemberIx, Rejection},
    http::{auth::Action, reply::Reply, service::Shared},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(children))
}

/// A member in a list.
#[derive(Serialize, ToSchema)]
pub struct Row {
    pub user_id: Uuid,
    /// Levels below the member that was asked about.
    pub depth: u32,
    pub joined_at: Time,
    pub status: Status,
    /// Children in the tree that was asked about.
    pub direct: u32,
    /// Ordinal of the rank in force; 0 for none.
    pub rank: u16,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Which genealogy.
    #[serde(default)]
    #[param(inline, default = "placement")]
    tree: TreeName,
    /// Rows of the page, at most. Not looked at for NDJSON.
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    #[param(max_length = 128)]
    cursor: Option<String>,
}

/// What a list of members can fail with.
struct Problems;

impl IntoResponses for Problems {
    fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        described(&[
            Code::CursorInvalid,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::Rejected(Rejection::MemberUnknown),
            Code::ParameterInvalid,
            Code::ParameterUnknown,
            Code::RateLimited,
            Code::Internal,
            Code::Starting,
        ])
    }
}

/// Children of one member, in slot order.
struct Children {
    tree: TreeName,
    parent: MemberIx,
    /// How many were given out.
    seen: usize,
}

impl Listing for Children {
    type Item = Row;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Row>) -> bool {
        let tree = self.tree.into();
        let mut children = reader.state.children(tree, self.parent).skip(self.seen);
        for child in children.by_ref().take(rows) {
            self.seen += 1;
            let member = reader.state.member(child);
            out.push(Row {
                user_id: user_id(reader.state, child),
                depth: 1,
                joined_at: Time(member.joined_at),
                status: member.status.into(),
                direct: reader.state.direct(tree, child),
                rank: reader.state.rank(child).paid_as,
            });
        }
        children.next().is_some()
    }

    fn position(&self) -> Vec<u64> {
        vec![self.seen as u64]
    }
}

/// Direct children of a member
#[utoipa::path(get, path = "/members/{id}/children", tag = "members", params(("id" = Uuid, Path, description = "The member's user_id"), ListQuery), responses((status = 200, body = Page<Row>), Problems))]
async fn children(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &format!("children/{id}/{}", query.tree.name()));
    let after = query.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()?;
    let (parent, lsn) =
        engine.read(|state, directory| Ok::<_, Problem>((caller.member(Action::ReadMember, id, state, directory)?, state.lsn())))?;
    let seen = after.map_or(0, |words| usize::try_from(words[0]).expect("sealed by us"));
    let listing = Children { tree: query.tree, parent, seen };
    page::list(engine, &headers, listing, lsn, query.limit, &cursors).await
}
