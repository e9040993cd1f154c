//! A real fork, in the middle of a storm: a child neither hangs nor counts what its parent counts.

#![cfg(all(unix, feature = "push"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use fork::Fork;
use periskop_client::push::{Gateway, Pusher};
use periskop_client::{Backtraces, Capture, Collector};

/// How long a child may take on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn children_of_a_storming_parent_count_and_push_their_own() {
    let (sender, pushes) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/errors", listener.local_addr().unwrap());
    std::thread::spawn(move || serve(&listener, &sender));

    // A stack trace takes a lock of the standard library's.
    let collector = Collector::builder().backtraces(Backtraces::Never).build();
    let gateway = Gateway::builder(url).timeout(PATIENCE).build().unwrap();
    let pusher = gateway.pusher().interval(Duration::ZERO).spawn(&collector).unwrap();
    let is_over = AtomicBool::new(false);
    let children = std::thread::scope(|scope| {
        // Some lock is held at almost any time.
        for thread in 0..2 {
            let (collector, is_over) = (&collector, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    collector.record(Capture::message("storm").key(format!("{thread}")));
                    collector.export();
                }
            });
        }
        let children: Vec<_> = (0..20).map(|_| child(&collector, &pusher)).collect();
        let ended: Vec<_> = children.into_iter().map(ends_well).collect();
        is_over.store(true, Ordering::Relaxed);
        ended
    });
    assert!(children.iter().all(|ended| *ended), "each child has ended well: {children:?}");

    let pushed: Vec<String> = pushes.try_iter().collect();
    let parent = collector.target_uuid();
    let of_children: Vec<_> = pushed.iter().filter(|push| !push.contains(&parent)).collect();
    assert!(of_children.len() >= 20, "each child has pushed: {}", of_children.len());
    for push in of_children {
        assert!(push.contains(r#""aggregation_key":"child""#) && !push.contains("storm"), "{push}");
    }
}

/// What is left of a fork in the parent: the number of the child, which does its work and ends.
fn child(collector: &Collector, pusher: &Pusher) -> i32 {
    let parent = collector.target_uuid();
    match fork::fork().expect("there can be another process") {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            collector.record(Capture::message("mine").key("child"));
            let report = collector.snapshot();
            let is_own = report.target_uuid.as_ref() != Some(&parent)
                && report.errors.len() == 1
                && report.errors[0].total_count == 1;
            let begun = Instant::now();
            while pusher.status().pushes == 0 && begun.elapsed() < PATIENCE {
                std::thread::park_timeout(Duration::from_millis(2));
            }
            let is_pushed = pusher.status().pushes == 1;
            // Neither the test's end nor its threads are in this process.
            std::process::exit(if is_own && is_pushed { 0 } else { 1 });
        }
    }
}

/// Whether it ends in time, and with nothing to complain of. What hangs is left to the end of this
/// process's group.
fn ends_well(pid: i32) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match fork::waitpid_nohang(pid) {
            Ok(Some(status)) => return status == 0,
            Ok(None) => std::thread::park_timeout(Duration::from_millis(2)),
            Err(_) => return false,
        }
    }
    false
}

/// A gateway that takes everything, one connection at a time in a thread each.
fn serve(listener: &TcpListener, pushes: &Sender<String>) {
    for stream in listener.incoming().flatten() {
        let pushes = pushes.clone();
        std::thread::spawn(move || while take(&stream, &pushes).is_some() {});
    }
}

fn take(mut stream: &TcpStream, pushes: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        if line == "\r\n" {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    pushes.send(String::from_utf8(body).ok()?).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}
