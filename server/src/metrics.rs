//! Figures for a Prometheus that scrapes `/metrics`.

use std::{
    convert::Infallible,
    sync::OnceLock,
    time::{Duration, Instant},
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

/// Upper bounds of request durations, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Every duration is kept by itself until it is counted into these. A scrape does that, and this where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Starts counting; there is one recorder a process.
pub fn start() {
    HANDLE.get_or_init(|| builder().ok()?.install_recorder().ok());
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
}

/// Keeps what is counted as small as it is once it is put together, until `stop`.
pub async fn keep_small(stop: CancellationToken) {
    if let Some(handle) = HANDLE.get().and_then(Option::as_ref) {
        stop.run_until_cancelled(upkeep(handle)).await;
    }
}

async fn upkeep(handle: &PrometheusHandle) -> Infallible {
    let mut every = interval_at(tokio::time::Instant::now() + UPKEEP, UPKEEP);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        handle.run_upkeep();
    }
}

pub async fn render() -> String {
    match HANDLE.get().and_then(Option::as_ref) {
        Some(handle) => {
            handle.run_upkeep();
            handle.render()
        }
        None => String::new(),
    }
}

/// Counts every request by route, so that no id becomes a label.
pub async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::histogram!("muster_http_request_seconds", "route" => route.clone()).record(began.elapsed().as_secs_f64());
    metrics::counter!("muster_http_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_nobody_scrapes_is_put_together_all_the_same() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        let records = |count: usize| {
            let record = || (0..count).for_each(|_| metrics::histogram!("muster_wait_seconds").record(0.5));
            metrics::with_local_recorder(&recorder, record);
        };
        // what is still kept by itself is in no count
        let counts = |count: usize| format!("{handle:?}").contains(&format!("count: {count}, bounds"));
        records(3);
        assert!(!counts(3), "{handle:?}");
        let most = UPKEEP + Duration::from_secs(1);
        assert!(tokio::time::timeout(most, upkeep(&handle)).await.is_err());
        assert!(counts(3), "{handle:?}");
        records(4);
        assert!(!counts(7), "{handle:?}");
        assert!(tokio::time::timeout(most, upkeep(&handle)).await.is_err());
        assert!(counts(7), "{handle:?}");
    }
}
