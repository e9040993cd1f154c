//! Commits to the store that its argument names until it is killed, and says after each commit
//! how many there were.

use std::io::Write;

use periskop_core::ReplicaId;
use periskop_tests::pushing::Pusher;
use periskop_tests::store::open;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let spec = std::env::args().nth(1).expect("the first argument names a store");
    let mut store = open(&spec);
    let fresh = ReplicaId::from_u64(rand::random());
    let name = store.identify(fresh).await.expect("the store knows who this is");
    let stored = store.load().await.expect("the store can be read");
    let mut pusher = Pusher::new(name, stored.state);
    let mut out = std::io::stdout();
    loop {
        let (count, delta) = pusher.again();
        store.commit(&delta).await.expect("the store works");
        writeln!(out, "{count} {name}").and_then(|()| out.flush()).expect("somebody listens");
    }
}
