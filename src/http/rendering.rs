//! Metrics as text, rendered once for all concurrent requests.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;

/// Metrics being rendered: one at a time, and once for all requests that arrive meanwhile. Otherwise a client
/// that asks often, without credentials, would keep a core busy.
#[derive(Default)]
pub struct Rendering {
    /// Number of renderings begun.
    begun: AtomicU64,
    /// The last one, and its number.
    last: tokio::sync::Mutex<(u64, Bytes)>,
}

impl Rendering {
    /// Returns metrics as of some moment after this call, rendered here or by a concurrent call. `None` when
    /// rendering failed.
    pub async fn of_now(&self, render: impl FnOnce() -> String + Send + 'static) -> Option<Bytes> {
        let before = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if before < last.0 {
            return Some(last.1.clone());
        }
        let number = 1 + self.begun.fetch_add(1, Ordering::AcqRel);
        // Rendering reads the process's files and formats every series: too slow for a thread that serves
        // requests.
        let rendered = tokio::task::spawn_blocking(render);
        let text = Bytes::from(rendered.await.ok()?.into_bytes().into_boxed_slice());
        *last = (number, text.clone());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn all_who_ask_while_metrics_are_rendered_share_the_next_ones() {
        let metrics = Metrics::new(crate::http::request_series());
        let rendering = Rendering::default();
        let ask = || {
            let metrics = Arc::clone(&metrics);
            rendering.of_now(move || metrics.render())
        };
        let seen = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(seen.iter().all(Option::is_some));
        assert!(rendering.begun.load(Ordering::Acquire) <= 2, "a hundred at once are one or two");
        // Events before the request are in the answer.
        metrics.writes.signups.increment(1);
        let text = ask().await.unwrap();
        assert!(String::from_utf8_lossy(&text).contains("upline_signups_total 1"));
    }
}
