//! One process's worth of behaviour: it serves, it fails, it restarts.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use periskop_client::{Collector, DEFAULT_PATH, ReportLayer};
use rand::Rng;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tower::ServiceExt;

use super::mishaps::Happening;
use super::{Plan, handlers};

/// An instance that is about to run.
pub(super) struct Instance {
    plan: &'static Plan,
    listener: TcpListener,
    address: SocketAddr,
}

impl Instance {
    /// Takes a port.
    pub(super) async fn bind(plan: &'static Plan) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok(Self { plan, listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lives, dies and lives again at the same address, as a container does.
    pub(super) async fn run(self) {
        let Self { plan, mut listener, address } = self;
        loop {
            let collector = Collector::new();
            let app = application(&collector);
            tokio::select! {
                // It ends only by being dropped: it has no signal to stop.
                _ = axum::serve(listener, app.clone()).into_future() => {}
                () = misbehave(plan, &collector, app) => {}
                () = sleep(lifetime(plan)) => {}
            }
            // Down for a moment, and no port is given to two.
            listener = loop {
                sleep(Duration::from_millis(800)).await;
                if let Ok(listener) = TcpListener::bind(address).await {
                    break listener;
                }
            };
        }
    }
}

/// An instance that is not well: it answers 503, whatever it is asked.
pub(super) async fn failing() -> io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app: Router = Router::new().fallback(|| async {
        (StatusCode::SERVICE_UNAVAILABLE, "the database is gone, come back later\n")
    });
    let served = async move {
        // It ends only by being dropped.
        let _ = axum::serve(listener, app).await;
    };
    Ok((address, served))
}

/// What a service is made of that has its failures reported.
fn application(collector: &Collector) -> Router {
    handlers::routes()
        .layer(ReportLayer::new(collector))
        .with_state(collector.clone())
        .merge(collector.router(DEFAULT_PATH))
}

/// Has one mishap after the other, the first ones at once, so that there is something to see.
async fn misbehave(plan: &Plan, collector: &Collector, app: Router) {
    let happen = async |happening: Happening| match happening {
        Happening::Aside(fail) => fail(collector),
        Happening::During(request) => {
            // Whatever it answers: nobody is there to be told.
            let _ = app.clone().oneshot(request()).await;
        }
    };
    for mishap in plan.mishaps {
        if mishap.at_start {
            happen(mishap.happening).await;
        }
    }
    loop {
        let pause = rand::rng().random_range(plan.pace / 4..plan.pace * 7 / 4);
        sleep(Duration::from_millis(pause)).await;
        let total: u32 = plan.mishaps.iter().map(|mishap| mishap.weight).sum();
        let mut dice = rand::rng().random_range(0..total.max(1));
        for mishap in plan.mishaps {
            if dice < mishap.weight {
                happen(mishap.happening).await;
                break;
            }
            dice -= mishap.weight;
        }
    }
}

fn lifetime(plan: &Plan) -> Duration {
    match plan.life {
        0 => Duration::MAX,
        life => Duration::from_secs(rand::rng().random_range(life / 2..life * 3 / 2)),
    }
}
