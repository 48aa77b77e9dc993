//! All routes, as the resources declare them: the source of both the router and the description.

use std::sync::Arc;

use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use super::{
    attributes, audit, batch, bonus_lists, calendars, clock, events, explain, hold, levels, lists, manage,
    members, opening, operate, order_lists, orders, pay, periods, plan, rank, register, roster, search,
    stats, top, totals, tree, volumes,
};
use crate::http::context::Shared;

/// Routes that read.
fn reads() -> OpenApiRouter<Arc<Shared>> {
    let all = [
        members::routes,
        roster::routes,
        lists::routes,
        levels::routes,
        rank::routes,
        tree::routes,
        bonus_lists::routes,
        totals::routes,
        search::routes,
        stats::routes,
        explain::routes,
        events::routes,
        audit::routes,
        order_lists::routes,
        volumes::routes,
        top::routes,
        calendars::routes,
        opening::routes,
    ];
    all.into_iter().fold(OpenApiRouter::default(), |router, routes| router.merge(routes()))
}

/// Routes that write or operate.
fn writes() -> OpenApiRouter<Arc<Shared>> {
    let all = [
        register::routes,
        batch::routes,
        manage::routes,
        attributes::routes,
        pay::routes,
        hold::routes,
        plan::routes,
        operate::routes,
        clock::routes,
        orders::routes,
        periods::routes,
    ];
    all.into_iter().fold(OpenApiRouter::default(), |router, routes| router.merge(routes()))
}

/// Router and description.
pub fn declared() -> OpenApiRouter<Arc<Shared>> {
    // Each route names its whole path. Nesting would give each request a second path without the prefix.
    OpenApiRouter::with_openapi(about()).merge(reads()).merge(writes())
}

/// The description without its routes.
fn about() -> OpenApi {
    let info = InfoBuilder::new()
        .title("upline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A network engine for multi-level marketing. `/v1` is its own API; the routes outside of it are \
             those of the service that it replaces, as that one answers them. Every answer of `/v1` names \
             the LSN (log sequence number) of the state it shows or made in `x-lsn`; \
             every failure is problem+json with a stable `code`. What was answered with 2xx is durable.",
        ))
        .build();
    let header_key = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
    };
    let components = ComponentsBuilder::new()
        .security_scheme("key", header_key("X-Api-Key", "Id of a service key; goes with X-Api-Secret"))
        .security_scheme("secret", header_key("X-Api-Secret", "Secret of a service key"))
        .security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
            ),
        )
        .build();
    let security = [
        SecurityRequirement::new("key", Vec::<String>::new()).add("secret", Vec::<String>::new()),
        SecurityRequirement::new("bearer", Vec::<String>::new()),
        SecurityRequirement::default(),
    ];
    OpenApiBuilder::new().info(info).components(Some(components)).security(Some(security)).build()
}

/// The description of the routes.
pub fn description() -> OpenApi {
    declared().into_openapi()
}
