//! Kubernetes discovery against an API server that forgets, breaks off, fails and talks nonsense.

mod access;
mod laws;
mod listener;

use axum::http::StatusCode;
use periskop_tests::sd::kubernetes::{ApiServer, Event, Fault};
use periskop_tests::{PATIENCE, eventually};
use serde_json::json;
use tokio::time::timeout;

use self::listener::{Listener, objects, pod, pod_of};

async fn lists(server: &ApiServer) -> usize {
    server.asked().iter().filter(|asked| !asked.contains("watch=")).count()
}

async fn until_watched(server: &ApiServer, watches: usize) {
    eventually("somebody watches", async || match server.watches() {
        found if found == watches => Ok(()),
        found => Err(found),
    })
    .await;
}

#[tokio::test]
async fn what_vanished_while_the_server_forgot_is_removed() {
    let pods = vec![pod("a", "1.1.1.1"), pod("b", "2.2.2.2")];
    let server = ApiServer::start(objects([("pods", pods)]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    listener.hear_of(&["1.1.1.1", "2.2.2.2"]).await;

    server.fail("watch=", Fault::Status(StatusCode::SERVICE_UNAVAILABLE, "away for a moment"));
    server.end_watches();
    server.happen(Event::new("DELETED", "pods", pod("a", "1.1.1.1")));
    server.happen(Event::new("ADDED", "pods", pod("c", "3.3.3.3")));
    server.forget();

    listener.hear_of(&["2.2.2.2", "3.3.3.3"]).await;
    assert_eq!(lists(&server).await, 2, "{:?}", server.asked());
}

#[tokio::test]
async fn an_answer_that_is_no_list_removes_nothing() {
    let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    server.fail("watch=", Fault::Status(StatusCode::GONE, "too old"));
    listener.hear_of(&["1.1.1.1"]).await;
    server.fail("limit=", Fault::Body("{}"));
    assert!(listener.hear_an_error().await.contains("a list without a resourceVersion"));
    assert_eq!(listener.addresses(), ["1.1.1.1"]);
    server.happen(Event::new("ADDED", "pods", pod("b", "2.2.2.2")));
    listener.hear_of(&["1.1.1.1", "2.2.2.2"]).await;
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    listener.hear_of(&["1.1.1.1"]).await;
    server.happen(Event::new("ADDED", "pods", pod("b", "2.2.2.2")));
    listener.hear_of(&["1.1.1.1", "2.2.2.2"]).await;

    server.end_watches();
    server.happen(Event::new("ADDED", "pods", pod("c", "3.3.3.3")));
    server.happen(Event::new("DELETED", "pods", pod("a", "1.1.1.1")));

    listener.hear_of(&["2.2.2.2", "3.3.3.3"]).await;
    assert_eq!(lists(&server).await, 1, "nothing is listed again");
    assert_eq!(listener.errors, [""; 0], "and nothing was wrong");
}

#[tokio::test]
async fn a_watch_that_fails_keeps_everything_and_recovers() {
    let half = r#"{"type":"ADDED","object":{"metadata":{"name":"x","#;
    let failed = "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"reason\":\"InternalError\",\
                  \"message\":\"etcd\\nis away\"}}\n";
    for (fault, told) in [
        (
            Fault::Status(StatusCode::INTERNAL_SERVER_ERROR, "oh\nno"),
            "500 Internal Server Error: oh no",
        ),
        (Fault::Status(StatusCode::UNAUTHORIZED, "who are you"), "401 Unauthorized: who are you"),
        (Fault::Body("<html>\n"), "invalid answer: while watching: expected value"),
        (Fault::Body(half), "while watching: it ended in the middle of an event"),
        (Fault::Body(""), "while watching: it ended at once"),
        (Fault::Body(failed), "the server says 500 InternalError: etcd is away"),
        (Fault::Body("{\"type\":\"NEW\",\"object\":{}}\n"), "unknown event \"NEW\""),
        (Fault::Body("{\"type\":\"ADDED\",\"object\":{}}\n"), "without a resourceVersion"),
        (Fault::Body("{\"type\":\"ADDED\",\"object\":[]}\n"), "invalid type: sequence"),
    ] {
        let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
        let mut listener = Listener::begin(&server, json!({"role": "pod"}));
        server.fail("watch=", fault);
        listener.hear_of(&["1.1.1.1"]).await;
        let error = listener.hear_an_error().await;
        assert!(error.contains(told), "{error}");
        assert!(error.contains("/api/v1/pods: "), "{error}");
        assert_eq!(listener.addresses(), ["1.1.1.1"]);

        server.happen(Event::new("ADDED", "pods", pod("b", "2.2.2.2")));
        listener.hear_of(&["1.1.1.1", "2.2.2.2"]).await;
    }
}

#[tokio::test]
async fn a_list_that_fails_is_told_and_asked_for_again() {
    for (fault, told) in [
        (
            Fault::Status(StatusCode::FORBIDDEN, "pods is forbidden"),
            "403 Forbidden: pods is forbidden",
        ),
        (Fault::Body("{\"items\": [{\"metadata\""), "EOF while parsing"),
        (Fault::Body("[]"), "invalid answer"),
        (Fault::Body("{}"), "a list without a resourceVersion"),
        (Fault::Body("{\"kind\": \"Status\", \"metadata\": {}}"), "without a resourceVersion"),
        (Fault::Body("{\"items\": [{\"metadata\": {\"name\": 7}}]}"), "invalid type: integer"),
    ] {
        let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
        server.fail("limit=", fault);
        let mut listener = Listener::begin(&server, json!({"role": "pod"}));
        let error = listener.hear_an_error().await;
        assert!(error.contains(told), "{error}");
        listener.hear_of(&["1.1.1.1"]).await;
    }
}

#[tokio::test]
async fn whoever_listens_late_hears_all_and_each_source_once() {
    let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    listener.hear_of(&["1.1.1.1"]).await;
    listener.hears_nothing().await;
    until_watched(&server, 1).await;

    for round in 0..50 {
        for n in 0..20 {
            let changed = pod(&format!("pod-{n:02}"), &format!("10.0.{round}.{n}"));
            server.happen(Event::new("MODIFIED", "pods", changed));
        }
    }
    server.happen(Event::new("DELETED", "pods", pod("a", "1.1.1.1")));

    let wanted: Vec<_> = (0..20).map(|n| format!("10.0.49.{n}")).collect();
    let mut told = 0;
    let sorted = |mut addresses: Vec<String>| {
        addresses.sort();
        addresses
    };
    while listener.addresses() != sorted(wanted.clone()) {
        let sources = listener.hear().await;
        let mut once = sources.clone();
        once.dedup();
        assert_eq!(sources, once, "each source once in an answer");
        told += sources.len();
    }
    assert!(told < 1000, "a thousand changes of twenty pods were told as {told}");
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let ip = |n: usize| format!("10.0.{}.{}", n / 256, n % 256);
    let pods = (0..1201).map(|n| pod(&format!("pod-{n}"), &ip(n))).collect();
    let server = ApiServer::start(objects([("pods", pods)]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    listener.hear().await;
    assert_eq!(listener.addresses().len(), 1201);
    assert_eq!(lists(&server).await, 3);
}

#[tokio::test]
async fn a_list_that_goes_in_circles_comes_to_an_end() {
    let pods = vec![pod("a", "1.1.1.1")];
    let server = ApiServer::start(objects([("pods", pods)]), None).await;
    let again = r#"{"metadata": {"resourceVersion": "1", "continue": "x"}, "items": []}"#;
    server.fail("limit=", Fault::Body(again));
    server.fail("limit=", Fault::Body(again));
    let mut listener = Listener::begin(&server, json!({"role": "pod"}));
    assert!(listener.hear_an_error().await.contains("it is the next one"));
    listener.hear_of(&["1.1.1.1"]).await;
}

#[tokio::test]
async fn a_namespace_that_may_not_be_looked_at_does_not_hold_up_others() {
    let pods = vec![pod_of("mine", "a", "1.1.1.1"), pod_of("theirs", "b", "2.2.2.2")];
    let server = ApiServer::start(objects([("pods", pods)]), None).await;
    server.fail("/theirs/", Fault::Status(StatusCode::FORBIDDEN, "not yours"));
    let names = json!({"names": ["mine", "theirs"]});
    let mut listener = Listener::begin(&server, json!({"role": "pod", "namespaces": names}));

    let error = listener.hear_an_error().await;
    assert!(error.contains("/api/v1/namespaces/theirs/pods: "), "{error}");
    listener.hear().await;
    assert_eq!(listener.addresses(), ["1.1.1.1"]);
    listener.hear_of(&["1.1.1.1", "2.2.2.2"]).await;
}

#[tokio::test]
async fn nothing_is_told_before_everything_that_it_takes_is_known() {
    let host = json!({"metadata": {"name": "n", "labels": {"zone": "z"}}});
    let mut on_host = pod("a", "1.1.1.1");
    on_host["spec"]["nodeName"] = json!("n");
    let server =
        ApiServer::start(objects([("pods", vec![on_host]), ("nodes", vec![host])]), None).await;
    server.fail("/nodes?", Fault::Status(StatusCode::FORBIDDEN, "no nodes for you"));
    let attach = json!({"role": "pod", "attach_metadata": {"node": true}});
    let mut listener = Listener::begin(&server, attach);
    assert!(listener.hear_an_error().await.contains("no nodes for you"));
    listener.hear().await;
    assert_eq!(listener.label("pod/default/a", "__meta_kubernetes_node_label_zone"), Some("z"));
}

#[tokio::test]
async fn selectors_and_paths_are_part_of_what_is_asked() {
    let mut chosen = pod("a", "1.1.1.1");
    chosen["metadata"]["labels"] = json!({"app": "shop"});
    let server =
        ApiServer::start(objects([("pods", vec![chosen, pod("b", "2.2.2.2")])]), None).await;
    let selector =
        json!({"role": "pod", "label": "app=shop", "field": "metadata.namespace=default"});
    let mut listener = Listener::begin(&server, json!({"role": "pod", "selectors": [selector]}));
    listener.hear_of(&["1.1.1.1"]).await;
    until_watched_after(&mut listener, &server).await;
    for asked in server.asked() {
        assert!(asked.contains("labelSelector=app%3Dshop"), "{asked}");
        assert!(asked.contains("fieldSelector=metadata.namespace%3Ddefault"), "{asked}");
    }
}

/// Watching begins when somebody listens on.
async fn until_watched_after(listener: &mut Listener, server: &ApiServer) {
    listener.hears_nothing().await;
    until_watched(server, 1).await;
}

#[tokio::test]
async fn a_node_that_only_reports_has_no_pod_told_again() {
    let node = |zone: &str, heartbeat: u32| {
        json!({
            "metadata": {"name": "n", "labels": {"zone": zone}},
            "status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": heartbeat}]},
        })
    };
    let mut on_node = pod("a", "1.1.1.1");
    on_node["spec"]["nodeName"] = json!("n");
    let pods = vec![on_node, pod("elsewhere", "2.2.2.2")];
    let content = objects([("pods", pods), ("nodes", vec![node("z", 1)])]);
    let server = ApiServer::start(content, None).await;
    let attach = json!({"role": "pod", "attach_metadata": {"node": true}});
    let mut listener = Listener::begin(&server, attach);
    listener.hear_of(&["1.1.1.1"]).await;

    server.happen(Event::new("MODIFIED", "nodes", node("z", 2)));
    listener.hears_nothing().await;
    server.happen(Event::new("MODIFIED", "nodes", node("y", 3)));
    assert_eq!(listener.hear().await, ["pod/default/a"]);
    assert_eq!(listener.label("pod/default/a", "__meta_kubernetes_node_label_zone"), Some("y"));
}

#[tokio::test]
async fn what_is_behind_a_service_is_told_again_when_what_made_its_pods_changes() {
    let owned = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
    let mut made = pod("a", "1.1.1.1");
    made["metadata"]["ownerReferences"] = owned("ReplicaSet", "rs");
    let set = |deployment: &str| {
        let owners = owned("Deployment", deployment);
        json!({"metadata": {"name": "rs", "namespace": "default", "ownerReferences": owners}})
    };
    let reference = json!({"kind": "Pod", "namespace": "default", "name": "a"});
    let slice = json!({
        "metadata": {"name": "s-1", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["1.1.1.1"], "targetRef": reference}],
        "ports": [{"port": 80}],
    });
    let content = objects([
        ("pods", vec![made]),
        ("replicasets", vec![set("shop")]),
        ("endpointslices", vec![slice]),
    ]);
    let server = ApiServer::start(content, None).await;
    let item = json!({"role": "endpointslice", "attach_metadata": {"deployment": true}});
    let mut listener = Listener::begin(&server, item);
    let name = "__meta_kubernetes_pod_deployment_name";
    let deployment = async |listener: &mut Listener| {
        let groups = timeout(PATIENCE, listener.discovery.next()).await.expect("something comes");
        let groups = groups.expect("it goes well");
        groups[0].targets[0].get(name).to_owned()
    };
    assert_eq!(deployment(&mut listener).await, "shop");
    server.happen(Event::new("MODIFIED", "replicasets", set("store")));
    assert_eq!(deployment(&mut listener).await, "store");
    server.happen(Event::new("DELETED", "replicasets", set("store")));
    assert_eq!(deployment(&mut listener).await, "");
}

#[tokio::test]
async fn whoever_is_dropped_watches_no_more() {
    let server = ApiServer::start(objects([("pods", vec![pod("a", "1.1.1.1")])]), None).await;
    let mut listener = Listener::begin(&server, json!({"role": "endpoints"}));
    listener.hear().await;
    listener.hears_nothing().await;
    until_watched(&server, 3).await;
    drop(listener);
    until_watched(&server, 0).await;
}
