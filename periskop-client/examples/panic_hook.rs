//! Panics of a program, counted, with message, place, thread and stack.
//!
//! ```sh
//! cargo run -p periskop-client --example panic_hook
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::thread;

use periskop_client::{Backtraces, Collector, install_panic_hook};

fn main() {
    let collector = Collector::builder().backtraces(Backtraces::Always).build();
    install_panic_hook(&collector);

    for order in [17, 4, 12] {
        let worker = thread::Builder::new().name(format!("order {order}"));
        let started = worker.spawn(move || {
            assert!(order < 10, "order {order} is too large");
            order
        });
        match started.map(thread::JoinHandle::join) {
            Ok(Ok(order)) => println!("order {order} is done"),
            Ok(Err(_)) => println!("order {order} is lost, and that was counted"),
            Err(error) => println!("order {order} has to wait: {error}"),
        }
    }

    // A server would answer scrapes with this.
    println!("{}", String::from_utf8_lossy(&collector.export()));
}
