//! Periskop below a path of an application of one's own, which is itself one of its targets.
//!
//! ```sh
//! cargo run --example embed              # then open http://127.0.0.1:8080/ops/errors/
//! cargo run --example embed -- --once    # looks itself, and ends
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use periskop_client::{Collector, DEFAULT_PATH};
use periskop_server::Periskop;
use periskop_server::config::Config;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let once = std::env::args().any(|arg| arg == "--once");
    let listener = TcpListener::bind(("127.0.0.1", if once { 0 } else { 8080 })).await?;
    let address = listener.local_addr()?;

    // What goes wrong in this application is counted, and exported for whoever scrapes it.
    let collector = Collector::new();
    if let Err(error) = "twelve".parse::<u32>() {
        collector.report(&error);
    }

    let config = format!(
        "services: [{{name: me, static_configs: [{{targets: ['{address}']}}], scraper: {{refresh_interval: 1s}}}}]"
    );
    let periskop = Periskop::builder()
        .config(Config::parse(&config, Path::new(""))?)
        .base_path("/ops/errors")
        .build();
    let app = Router::new()
        .route("/", get(|| async { "my application; its errors are at /ops/errors/\n" }))
        .merge(collector.router(DEFAULT_PATH))
        .merge(periskop.router());
    println!("open http://{address}/ops/errors/");

    let handle = periskop.handle().clone();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    if once {
        while handle.read(|engine| engine.state().errors().count()) == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        handle.read(|engine| {
            for error in engine.state().errors() {
                println!("{}: {} x {}", error.service(), error.total(), error.key());
            }
        });
        periskop.stop().await;
        serving.abort();
        return Ok(());
    }
    Ok(serving.await??)
}
