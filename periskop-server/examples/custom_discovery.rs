//! A discovery of one's own: the targets are the lines of a text that somebody else writes.
//!
//! ```sh
//! cargo run --example custom_discovery -- --once    # finds two targets, and ends
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use periskop_server::cli::Listen;
use periskop_server::{Periskop, bind, url_of};
use tokio::sync::watch;

/// Tells a group whenever the inventory changes. `watch` makes it cancel-safe: a change that
/// was not told yet is still there at the next call.
struct Inventory(watch::Receiver<String>);

#[async_trait]
impl Discovery for Inventory {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        if self.0.changed().await.is_err() {
            // Nobody writes any more: there will never be anything to tell again.
            std::future::pending::<()>().await;
        }
        let lines = self.0.borrow_and_update().clone();
        let target = |(number, line): (usize, &str)| {
            // Facts go into `__meta_*` labels; choosing among them is relabelling's work.
            Labels::from([
                ("__address__", line.to_owned()),
                ("__meta_inventory_line", (number + 1).to_string()),
            ])
        };
        let targets = lines.lines().enumerate().map(target).collect();
        Ok(vec![TargetGroup { source: "inventory".into(), targets, labels: Labels::new() }])
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let once = std::env::args().any(|arg| arg == "--once");
    let (inventory, changes) = watch::channel(String::new());
    let periskop = Periskop::builder().discovery("shop", Inventory(changes)).build();
    inventory.send("127.0.0.1:9001\n127.0.0.1:9002\n".to_owned())?;

    let handle = periskop.handle().clone();
    while handle.read(|engine| engine.targets().count()) < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    handle.read(|engine| {
        for target in engine.targets() {
            println!("{} {}", target.service(), target.target().url());
        }
    });
    if once {
        periskop.stop().await;
        return Ok(());
    }
    let listener = bind(Listen::Address("127.0.0.1:7777".parse()?)).await?;
    println!("open {}/targets", url_of(listener.local_addr()?));
    Ok(periskop.serve(listener, std::future::pending()).await?)
}
